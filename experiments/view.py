"""How large a view has to be: SRCC of the extended score at several sizes of rated images.

python -m experiments.view --synthetic LARGE_SET

LARGE_SET is made by tools.make_synthetic_set, of photographs of several megapixels; it rates all pixels.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence

from configs import Settings
from utils.cli import MODEL_FLAGS, add_fields, command, make_parser, say, with_fields

MEGAPIXELS = (0.25, 0.5, 1.0, 2.0, math.inf)


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 printed, 2 bad input, 130 interrupted."""
    parser = make_parser(__doc__, __file__)
    parser.add_argument("--synthetic", required=True, help="folder of a synthetic set")
    add_fields(parser, Settings(branch="low", view="full"), MODEL_FLAGS)
    args = parser.parse_args(argv)
    settings = with_fields(Settings(branch="low", view="full"), args)

    # Only now: --help does not wait for torch.
    import numpy as np
    from tqdm import tqdm

    from datasets.decoder import read_image
    from datasets.distorted.synthetic_set import load_synthetic_set
    from Evaluation.grepq import GRepQ
    from Evaluation.image_sizes import resize
    from Evaluation.metrics import srcc

    model = GRepQ(settings, say).load()
    rated = load_synthetic_set(args.synthetic)[0]
    scores: dict[float, list[float]] = {size: [] for size in MEGAPIXELS}
    spent = dict.fromkeys(MEGAPIXELS, 0.0)
    for one in tqdm(rated.images, desc="Images", disable=None):
        image = read_image(one.path)
        height, width = image.shape[-2:]
        for size in MEGAPIXELS:
            started = time.perf_counter()
            scale = min(1.0, math.sqrt(1e6 * size / (height * width)))
            view = image if scale == 1 else resize(image, round(height * scale), round(width * scale))
            scores[size].append(model.score(model.measure(view)).q_low)  # type: ignore[union-attr, arg-type]
            spent[size] += time.perf_counter() - started
    mos = np.array([one.mos for one in rated.images], float)
    count = len(mos)
    print(f"{count} images of about {height * width / 1e6:.1f} megapixels; {model.encoders.line()}")
    print("| view, megapixels | SRCC | cost |\n| --- | --- | --- |")
    for size in MEGAPIXELS:
        name = "all pixels" if math.isinf(size) else f"{size:g}"
        print(f"| {name} | {srcc(np.array(scores[size]), mos):.3f} | {spent[size] / spent[math.inf]:.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
