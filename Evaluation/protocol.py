"""What a score depends on, put together from names and paths, and one line that states it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from configs import ZeroShot
from datasets.rated_sets import (
    RatedImage,
    RatedSet,
    load_rated_set,
    load_scores_table,
    unrated_folder,
)
from Evaluation.metrics import Metric, agreement
from Evaluation.pristine import Pristine, Say, find_pristine
from Evaluation.zeroshot import LowLevelBranch, ScoreRow
from models.device import choose_device, choose_precision
from models.low_level_weights import LowLevelWeights, find_low_level, load_low_level


class ProtocolError(ValueError):
    """A request that cannot be served; the message says what can."""


@dataclass(frozen=True)
class Protocol:
    """The low-level branch, ready to score, with the files that it was made from."""

    branch: LowLevelBranch
    weights: LowLevelWeights
    pristine: Pristine
    device: str
    precision: str

    def line(self, rated: RatedSet, scored: int) -> str:
        """Set, number of pictures, weights, pristine statistics, patch size and precision in one line."""
        total = rated.expected or len(rated.images)
        patches = self.pristine.statistics.count
        return (
            f"Protocol: {rated.name}, {scored} of {total} images; low-level branch; "
            f"weights {self.weights.path.name} (sha256 {self.weights.sha256[:12]}); "
            f"pristine {self.pristine.source}, {patches} patches; "
            f"patch size {self.branch.settings.patch_size}; {self.precision} on {self.device}."
        )


def load_pictures(
    eval_type: str | None, picture: str | None, dataset: str | None, table: str | None, folder: str | None
) -> RatedSet:
    """What --eval_type, --test_img_path, --dataset, --scores and --img_dir together name.

    Without an `eval_type` it is a single picture where one is named.

    Raises:
        ProtocolError: they name nothing, or two things.
        RatedSetError: the set or table cannot be used.
        ImageReadError: the folder is missing or holds no picture.
    """
    single = eval_type == "zeroshot_single_img" or (eval_type is None and picture is not None)
    if single and not picture:
        raise ProtocolError("--eval_type zeroshot_single_img needs a picture: name it with --test_img_path.")
    if picture and not single:
        raise ProtocolError("--test_img_path goes with --eval_type zeroshot_single_img.")
    if sum(value is not None for value in (picture, dataset, table)) > 1:
        raise ProtocolError("--test_img_path, --dataset and --scores exclude each other.")
    if picture:
        if folder:
            raise ProtocolError("--img_dir does not go with --test_img_path.")
        return RatedSet(picture, (RatedImage(picture, Path(picture)),))
    if dataset:
        if not folder:
            raise ProtocolError(f"--dataset {dataset} needs its folder: name it with --img_dir.")
        return load_rated_set(dataset, folder)
    if table:
        return load_scores_table(table, folder)
    if folder:
        return unrated_folder(folder)
    raise ProtocolError(
        "Nothing to score: name a picture with --test_img_path, a folder with --img_dir, a set with "
        "--dataset and --img_dir, or a table with --scores."
    )


def choose_branch(name: str, high_level_weights: str | None = None) -> str:
    """A sentence that names the branch used for --branch `name`, and high-level weights that are not used.

    Raises:
        ProtocolError: the branch is not part of this version.
    """
    if name in ("high", "both"):
        raise ProtocolError(
            f"--branch {name}: the high-level branch is not part of this version; use --branch low."
        )
    why = "as asked" if name == "low" else "the high-level branch is not part of this version"
    unused = "" if high_level_weights is None else f" {high_level_weights} is not used."
    return f"Branch: low-level ({why}).{unused}"


def prepare(
    device: str, weights_path: str | None, settings: ZeroShot, pristine_folder: str | None, precision: str,
    say: Say,
) -> Protocol:  # fmt: skip
    """Weights on their device, and the pristine statistics that go with them.

    Args:
        device: for `choose_device`.
        weights_path: None takes the file that `find_low_level` finds.
        settings: of the score.
        pristine_folder: photographs, or None (`find_pristine`).
        precision: "float32" or "bfloat16" of the test pictures' features.
        say: receives what the user should know.

    Raises:
        ValueError: device, weights or statistics cannot be used; the message says what to do.
    """
    place = choose_device(device)
    weights = load_low_level(find_low_level() if weights_path is None else weights_path)
    weights.model.to(place)
    folder = None if pristine_folder is None else Path(pristine_folder)
    pristine = find_pristine(weights, settings, folder, Path.cwd(), say)
    branch = LowLevelBranch(weights.model, pristine.statistics, settings, choose_precision(precision, place))
    return Protocol(branch, weights, pristine, str(place), precision)


def agreement_of_rows(rows: Sequence[ScoreRow]) -> tuple[Metric, ...]:
    """The figures of `metrics.agreement` over the rows that have both a score and an opinion."""
    pairs = [(row.score, row.mos) for row in rows if row.score is not None and row.mos is not None]
    return agreement([score for score, _ in pairs], [mos for _, mos in pairs])
