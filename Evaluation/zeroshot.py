"""Zero-shot scores (method.md part 4).

File -> decoder -> patches -> features -> statistics -> distance (and signs of distortion) -> Q_low, and
file -> decoder -> whole picture -> feature -> cosines with two prompts -> Q_high, from one decoding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from configs import Settings
from datasets.rated.sets import RatedImage
from datasets.read_ahead import read_ahead
from Evaluation.distance import FeatureStatistics, distance, grid_statistics, low_level_quality
from Evaluation.extended.score import PAPER, LowLevelScore
from Evaluation.extended.semantic_features import semantic_features
from Evaluation.features import (
    as_the_set_resizes,
    at_least_smallest,
    whole_picture_features,
    with_two_patches,
)
from Evaluation.patches import overlapping_features
from models.device import out_of_memory
from models.high_level import HighLevelEncoder, antonym_quality
from models.low_level import LowLevelEncoder
from models.semantic import SemanticEncoder
from utils.errors import UserError


@dataclass(frozen=True)
class LowLevelBranch:
    """All that a low-level score depends on besides the picture."""

    encoder: LowLevelEncoder
    pristine: FeatureStatistics
    settings: Settings
    precision: torch.dtype = torch.float32
    score: LowLevelScore = PAPER
    # Needed where the score weighs the chance of distortion.
    content: SemanticEncoder | None = None


@dataclass(frozen=True)
class HighLevelBranch:
    """All that a high-level score depends on besides the picture; `text` is (P, 2, F) on the CPU."""

    encoder: HighLevelEncoder
    text: torch.Tensor
    precision: torch.dtype = torch.float32


@dataclass(frozen=True)
class ScoreRow:
    """One picture's scores; the fields are the columns of a table of scores, None an empty one.

    `width` and `height` are of the picture as it was read. `q_low` lies in (0, 0.5], `q_high` in
    (0, 1), `q` is their sum where both were computed; higher is better. `status` begins with "ok"
    or is the reason why there is no score.
    """

    image: str
    width: int | None
    height: int | None
    q_low: float | None
    q_high: float | None
    q: float | None
    mos: float | None
    status: str

    @property
    def scored(self) -> bool:
        """Whether the picture has a score."""
        return self.status.startswith("ok")

    @property
    def score(self) -> float | None:
        """The sum where there is one, else the branch that was computed."""
        return next((value for value in (self.q, self.q_low, self.q_high) if value is not None), None)


def distance_and_mean(picture: torch.Tensor, branch: LowLevelBranch) -> tuple[float, torch.Tensor]:
    """Of a picture's patches, overlapping by half: the distance, 0 or more, and mean features (F,).

    Patches weigh as `branch.score.centre_deviation` says; all alike they make the paper's distance.

    Args:
        picture: (3, H, W) in [0, 1], of two patches or more (`with_two_patches`).
        branch: encoder, pristine statistics and settings.

    Raises:
        UserError: the distance cannot be computed.
    """
    features = overlapping_features(picture, branch.encoder, branch.settings, branch.precision)
    return distance_and_mean_of(features, branch)


def distance_and_mean_of(features: torch.Tensor, branch: LowLevelBranch) -> tuple[float, torch.Tensor]:
    """`distance_and_mean` of a picture whose `overlapping_features` are there."""
    try:
        measured = grid_statistics(features, branch.score.centre_deviation)
        d = distance(branch.pristine, measured, branch.settings.regularisation)
    except ValueError as error:
        raise UserError(str(error)) from None
    return d, measured.mean


def low_level_distance(picture: torch.Tensor, branch: LowLevelBranch) -> float:
    """The number that Q_low is taken of, as `branch.score` makes it from what the encoders measure.

    The paper's score makes it the paper's distance. Arguments, range and what it raises are those of
    `distance_and_mean`.
    """
    features = overlapping_features(picture, branch.encoder, branch.settings, branch.precision)
    return low_level_distance_of(picture, features, branch)


def low_level_distance_of(picture: torch.Tensor, features: torch.Tensor, branch: LowLevelBranch) -> float:
    """`low_level_distance` of a picture whose `overlapping_features` are there."""
    content = None
    if branch.score.chance_weight:
        assert branch.content is not None
        content, _ = semantic_features(picture, branch.content, branch.settings, branch.precision)
    return branch.score.total(*distance_and_mean_of(features, branch), content)


def high_level_quality(picture: torch.Tensor, branch: HighLevelBranch) -> float:
    """Q_high in (0, 1) of a picture (3, H, W) in [0, 1], no side under 32."""
    features = whole_picture_features(branch.encoder, picture, branch.precision)
    return antonym_quality(features[None], branch.text).item()


def score_picture(
    image: RatedImage, picture: torch.Tensor, low: LowLevelBranch | None = None,
    high: HighLevelBranch | None = None,
) -> ScoreRow:  # fmt: skip
    """The row of a picture (3, H, W) in [0, 1] that was read from `image.path`, by the branches there are."""
    read_height, read_width = picture.shape[-2:]
    q_low = q_high = q = None
    try:
        picture, status = as_the_set_resizes(image, picture)
        if low is not None:
            patched, note = with_two_patches(picture, low.settings)
            status += note
            q_low = low_level_quality(low_level_distance(patched, low))
        if high is not None:
            picture, note = at_least_smallest(picture)
            status += note
            q_high = high_level_quality(picture, high)
        if q_low is not None and q_high is not None:
            q = q_low + q_high
    except UserError as error:
        return ScoreRow(image.name, read_width, read_height, None, None, None, image.mos, str(error))
    return ScoreRow(image.name, read_width, read_height, q_low, q_high, q, image.mos, f"ok{status}")


def score_images(
    images: Sequence[RatedImage], low: LowLevelBranch | None = None, high: HighLevelBranch | None = None
) -> Iterator[ScoreRow]:
    """One row an image, in order, each as it is done; an unreadable image is a row that says why.

    A row depends on its own image only.
    """
    for image, picture in zip(images, read_ahead([image.path for image in images]), strict=True):
        reason = picture
        if not isinstance(picture, str):
            try:
                yield score_picture(image, picture, low, high)
                continue
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                reason = "does not fit in memory"
        yield ScoreRow(image.name, None, None, None, None, None, image.mos, str(reason))
