"""How the extended score is fitted, and how else it could be: SRCC on rated images of each way.

python -m experiments.regression --pristine_img_dir PHOTOGRAPHS --dataset CLIVE --img_dir ChallengeDB_release

Versions of the photographs and the rated images are measured once; every row is fitted to the same versions.
With --synthetic DIR (of tools.make_synthetic_set) there is a second column of SRCC.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from configs import Settings
from utils.cli import MODEL_FLAGS, add_fields, command, make_parser, say, with_fields

if TYPE_CHECKING:
    import numpy as np

    from datasets.rated.sets import RatedSet
    from Evaluation.extended.calibration import Versions
    from Evaluation.grepq import GRepQ


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 printed, 2 bad input, 130 interrupted."""
    parser = make_parser(__doc__, __file__)
    add = parser.add_argument
    add("--pristine_img_dir", type=Path, required=True, help="sharp, undistorted photographs")
    add("--dataset", default="CLIVE", help="rated set in its native layout in --img_dir")
    add("--img_dir", required=True, help="folder of the set; a part of it will do")
    add("--synthetic", help="folder of a synthetic set")
    add_fields(parser, Settings(branch="low"), MODEL_FLAGS)
    args = parser.parse_args(argv)
    settings = with_fields(Settings(branch="low", score="paper"), args)

    # Only now: --help does not wait for torch.
    from datasets.distorted.synthetic_set import load_synthetic_set
    from datasets.distorted.targets import TARGETS
    from datasets.rated.sets import load_rated_set
    from Evaluation.extended.calibration import (
        MOST_IMAGES,
        evenly_spaced,
        measure_versions,
        trained_targets,
    )
    from Evaluation.grepq import GRepQ

    model = GRepQ(settings, say).load()
    sets = {args.dataset: load_rated_set(args.dataset, args.img_dir)}
    if args.synthetic:
        sets["synthetic"] = load_synthetic_set(args.synthetic)[0]
    photographs = [args.pristine_img_dir / name for name in model.pristine.images]
    photographs = evenly_spaced(photographs, MOST_IMAGES)
    targets = trained_targets(model)
    versions = measure_versions(photographs, model, model.pristine.statistics, targets or TARGETS)
    rated = {name: measure_rated(model, one, targets or TARGETS) for name, one in sets.items()}
    print(f"{len(photographs)} photographs, {len(versions.levels)} versions; {model.encoders.line()}")
    print(f"| fit | area under the curve | {' | '.join(rated)} |\n| --- | --- |{' --- |' * len(rated)}")
    for row, area, cells in rows(versions, rated, targets):
        print(f"| {row} | {area} | {' | '.join(cells)} |")
    return 0


def measure_rated(model: GRepQ, rated: RatedSet, targets: Sequence[str]) -> tuple[Versions, np.ndarray]:
    """What is measured of rated images, as of versions of which no level is known, and their MOS."""
    import numpy as np
    from tqdm import tqdm

    from Evaluation.extended.score import PARTS, low_level_terms
    from Evaluation.zeroshot import Unmeasured

    images = [image for image in rated.images if image.name not in rated.missing]
    low_level, semantic, detail, mos = [], [], [], []
    for image, seen in tqdm(model.measure_images(images, PARTS), total=len(images), desc="Rated images"):
        if isinstance(seen, Unmeasured):
            say(f"Left out: {image.name}: {seen.reason}")
            continue
        terms = low_level_terms(seen, model.pristine.statistics, model.settings.regularisation, targets)
        low_level.append([*map(float, terms)])
        semantic.append(seen.part("semantic").numpy())
        detail.append(seen.part("detail").item())
        mos.append(image.mos)
    nothing = np.zeros(len(mos))
    measured = Versions(np.array(low_level), np.array(semantic), np.array(detail), nothing, nothing)
    return measured, np.array(mos, float)


def rows(
    versions: Versions, rated: Mapping[str, tuple[Versions, np.ndarray]], targets: Sequence[str]
) -> Iterator[tuple[str, str, list[str]]]:
    """Name of a fit, area under the curve on photographs left out, SRCC on each rated set."""
    import numpy as np
    import torch

    from Evaluation.extended.calibration import (
        PENALTIES,
        calibrate,
        fit_semantic_regression,
        left_out_areas,
    )
    from Evaluation.extended.detail import lack_of_detail
    from Evaluation.metrics import srcc
    from models.semantic import STAGES

    def semantic(
        row: str, used: Versions, penalties: Sequence[float] = PENALTIES, channels: slice = slice(None)
    ) -> tuple[str, str, list[str]]:
        used = dataclasses.replace(used, semantic=used.semantic[:, channels])
        *slopes, _ = fit_semantic_regression(used, penalties)
        areas = left_out_areas(used, penalties[0]) if len(penalties) == 1 else None
        area = "" if areas is None else f"{areas.mean():.4f} +- {areas.std(ddof=1) / len(areas) ** 0.5:.4f}"
        cells = [f"{srcc(-(one.semantic[:, channels] @ slopes), mos):.3f}" for one, mos in rated.values()]
        return row, area, cells

    for penalty in (0.05, *PENALTIES, 150.0):
        yield semantic(f"semantic regression alone, penalty {penalty:g}", versions, (penalty,))
    yield semantic("the same, penalty chosen", versions)
    ends = np.cumsum([channels for *_, channels, _ in STAGES])
    middle = slice(ends[3], ends[4])
    yield semantic("the same, of the 112 channels in the middle", versions, channels=middle)
    yield semantic("the same, all stages but the last", versions, channels=slice(0, ends[5]))
    photographs = len(set(versions.images))
    for count in (30, 60, 120):
        if count < photographs:
            kept = versions.images % (photographs / count) < 1
            yield semantic(
                f"the same, of {len(set(versions.images[kept]))} photographs", only(versions, kept)
            )
    for share in (1.0, 0.5, 0.25, 0.0):
        score = calibrate(versions, "", targets, share)
        without = dataclasses.replace(score, detail_weight=0.0)
        for name, one in (("", score), (", without lack of detail", without)):
            cells = []
            for measured, mos in rated.values():
                c = measured.semantic @ score.regression[:-1] + score.regression[-1]
                f = lack_of_detail(torch.from_numpy(measured.detail), score.least_detail)
                d, k = torch.from_numpy(measured.low_level).T
                total = one.total(d, k, torch.from_numpy(c), f)
                cells.append(f"{srcc(-total.numpy(), mos):.3f}")
            yield f"total, low-level terms of {share:g} of its spread{name}", "", cells


def only(versions: Versions, kept: np.ndarray) -> Versions:
    """Those versions that are `kept`."""
    fields = dataclasses.fields(versions)
    return dataclasses.replace(versions, **{one.name: getattr(versions, one.name)[kept] for one in fields})


if __name__ == "__main__":
    sys.exit(main())
