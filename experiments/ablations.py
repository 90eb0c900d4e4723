"""What each part of a low-level score gives: SRCC of distance, regressions and their sum, on rated images.

python -m experiments.ablations --dataset CLIVE --img_dir ChallengeDB_release

Images are measured once; every row is computed from the same measurements. With --synthetic DIR (of
tools.make_synthetic_set) there is a second column.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from configs import Settings
from utils.cli import MODEL_FLAGS, SCORE_FLAGS, add_fields, command, make_parser, say, with_fields
from utils.errors import UserError

if TYPE_CHECKING:
    from Evaluation.extended.score import ExtendedScore
    from Evaluation.grepq import GRepQ
    from Evaluation.zeroshot import Measurement

Number = Callable[["Measurement"], float]


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 printed, 2 bad input, 130 interrupted."""
    parser = make_parser(__doc__, __file__)
    add = parser.add_argument
    add("--dataset", default="CLIVE", help="rated set in its native layout in --img_dir")
    add("--img_dir", required=True, help="folder of the set; a part of it will do")
    add("--synthetic", help="folder of a synthetic set")
    add_fields(parser, Settings(branch="low"), (*SCORE_FLAGS, *MODEL_FLAGS))
    args = parser.parse_args(argv)
    settings = with_fields(Settings(branch="low"), args)

    # Only now: --help does not wait for torch.
    import numpy as np
    from tqdm import tqdm

    from datasets.distorted.synthetic_set import load_synthetic_set
    from datasets.rated.sets import load_rated_set
    from Evaluation.extended.score import PARTS
    from Evaluation.grepq import GRepQ
    from Evaluation.metrics import bootstrap_srcc, resample_counts, srcc
    from Evaluation.zeroshot import Unmeasured

    model = GRepQ(settings, say).load()
    if model.extended is None:
        raise UserError("These weights bring no extended score, of which there are parts to compare.")
    sets = {args.dataset: load_rated_set(args.dataset, args.img_dir)}
    if args.synthetic:
        sets["synthetic"] = load_synthetic_set(args.synthetic)[0]
    rows = numbers(model, model.extended)
    cells: dict[str, list[str]] = {name: [] for name in rows}
    for name, rated in sets.items():
        images = [image for image in rated.images if image.name not in rated.missing]
        found: dict[str, list[float]] = {row: [] for row in rows}
        mos = []
        for image, measured in tqdm(
            model.measure_images(images, ("patches", *PARTS)), total=len(images), desc=name
        ):
            if isinstance(measured, Unmeasured):
                say(f"Left out: {image.name}: {measured.reason}")
                continue
            mos.append(image.mos)
            for row, number in rows.items():
                found[row].append(-number(measured))
        mean_scores = np.array(mos, float)
        counts = resample_counts(len(mean_scores), 1000, 0)
        for row, values in found.items():
            scores = np.array(values)
            low, high = np.nanpercentile(bootstrap_srcc(scores, mean_scores, counts), (2.5, 97.5))
            cells[row].append(f"{srcc(scores, mean_scores):.3f} [{low:.3f}, {high:.3f}]")
    print(f"SRCC and 95 % interval; {model.encoders.line()}")
    print(f"| score | {' | '.join(sets)} |\n| --- |{' --- |' * len(sets)}")
    print(*(f"| {row} | {' | '.join(values)} |" for row, values in cells.items()), sep="\n")
    return 0


def numbers(model: GRepQ, extended: ExtendedScore) -> Mapping[str, Number]:
    """Name of a row -> the number, higher is worse, that an image is ordered by."""
    from Evaluation.distance import distance, statistics

    pristine, regularisation = model.pristine.statistics, model.settings.regularisation

    def paper(image: Measurement) -> float:
        return distance(pristine, statistics(image.part("patches").flatten(0, 1)), regularisation).item()

    def term(place: int) -> Number:
        return lambda image: extended.terms(image, pristine, regularisation)[place].item()

    return {
        "GRepQ (paper): the paper's distance": paper,
        "distance alone, of tiles": term(0),
        "distortion regression alone": term(1),
        "semantic regression alone": term(2),
        "GRepQ extended: together": lambda image: extended.distance(image, pristine, regularisation).item(),
    }


if __name__ == "__main__":
    sys.exit(main())
