"""What a run works on, and the line that states what its scores depend on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from datasets.rated.sets import RatedImage, RatedSet, load_rated_set, load_scores_table, unrated_folder
from Evaluation.grepq import GRepQ
from Evaluation.zeroshot import ScoreRow
from utils.errors import UserError

if TYPE_CHECKING:
    from Evaluation.metrics import Metric

SAMPLES = Path(__file__).resolve().parent.parent / "samples"


def load_images(
    image: str = "", dataset: str = "", scores: str = "", folder: str = "", image_column: str = "",
    mos_column: str = "",
) -> RatedSet:  # fmt: skip
    """The images that --test_img_path, --dataset, --scores and --img_dir together name.

    Args:
        image: a single one.
        dataset: name of a rated set in its native layout, in `folder`.
        scores: table of scores of the images in `folder` (beside the table where none is named).
        folder: alone, its images are taken.
        image_column: of the table; empty: the usual names.
        mos_column: likewise.

    Raises:
        UserError: they name nothing, two things, or something that cannot be used.
    """
    if sum(map(bool, (image, dataset, scores))) > 1:
        raise UserError("--test_img_path, --dataset and --scores exclude each other.")
    if (image_column or mos_column) and not scores:
        raise UserError("--image_column and --mos_column name columns of a table: give it with --scores.")
    if image:
        if folder:
            raise UserError("--img_dir does not go with --test_img_path.")
        return RatedSet(image, (RatedImage(image, Path(image)),))
    if dataset:
        if not folder:
            raise UserError(f"--dataset {dataset} needs its folder: name it with --img_dir.")
        return load_rated_set(dataset, folder)
    if scores:
        return load_scores_table(scores, folder or None, image_column, mos_column)
    if folder:
        return unrated_folder(folder)
    raise UserError(
        "No images are named: a single one is --test_img_path, a folder --img_dir, a rated set --dataset and "
        "--img_dir, a table of scores --scores."
    )


def load_scored_images(
    dataset: str, scores: str, folder: str, image_column: str = "", mos_column: str = ""
) -> RatedSet:
    """As `load_images`, of images with scores.

    Raises:
        UserError: no scores are named, or they cannot be used.
    """
    if not (dataset or scores):
        raise UserError("There are no scores: name a set with --dataset or a table with --scores.")
    return load_images("", dataset, scores, folder, image_column, mos_column)


def protocol_line(model: GRepQ, rated: RatedSet, scored: int) -> str:
    """Score, set, number of images, scale, weights, pristine statistics, prompts, precision in one line."""
    settings, encoders = model.settings, model.encoders
    parts = [
        f"Protocol: {model.name}; {rated.name}, {scored} of {rated.expected or len(rated.images)} images",
        *filter(None, [rated.scale]),
        encoders.line(),
    ]
    if encoders.has_low:
        parts.append(
            f"pristine {model.pristine.source}, {model.pristine.statistics.count} patches; patch size "
            f"{settings.patch_size}"
        )
    if model.extended is not None:
        parts.append(f"score {model.extended.formula()}")
    if encoders.has_high:
        prompts = ", ".join(f'"{prompt}"' for prompt in settings.prompts)
        parts.append(f"prompts {prompts}; positional embedding {settings.positions}")
    return "; ".join([*parts, f"{settings.precision} on {encoders.device}."])


def agreement_of_rows(rows: Sequence[ScoreRow]) -> tuple[Metric, ...]:
    """The figures of `metrics.agreement` over the rows that have both a score and a MOS."""
    # Only here: scipy takes half a second, and an image without MOS needs none of it.
    from Evaluation.metrics import agreement

    pairs = [(row.score, row.mos) for row in rows if row.score is not None and row.mos is not None]
    return agreement([score for score, _ in pairs], [mos for _, mos in pairs])
