"""Zero-shot scores (method.md part 4).

File -> decoder -> patches -> features -> statistics -> distance -> score -> row.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from configs import ZeroShot
from datasets.decoder import ImageReadError, read_image
from datasets.rated_sets import RatedImage
from Evaluation.distance import FeatureStatistics, distance, low_level_quality, statistics
from Evaluation.patches import patch_features, patch_grid
from models.low_level import LowLevelEncoder

# Slivers such as 1 x 60,000 would grow beyond any memory when they are enlarged to be scored.
MOST_ENLARGED_PIXELS = 1 << 26
# Pictures decoded while the one before them is scored.
DECODED_AHEAD = 2


class ScoreError(ValueError):
    """A picture that was read but cannot be scored; the message says why."""


@dataclass(frozen=True)
class LowLevelBranch:
    """All that a low-level score depends on besides the picture."""

    encoder: LowLevelEncoder
    pristine: FeatureStatistics
    settings: ZeroShot
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


def enlarged_size(height: int, width: int, settings: ZeroShot) -> tuple[int, int]:
    """(height, width) at which a picture is scored: its own wherever that gives two patches or more.

    Otherwise its short side becomes 1.5 patches, 144 pixels for 96: a departure from the authors,
    whose code fails on such pictures.

    Raises:
        ScoreError: the picture is so narrow that it would become too large.
    """
    size = settings.patch_size
    stride = size // 2
    if min(height, width) >= size and max(height, width) >= size + stride:
        return height, width
    short = math.ceil(settings.enlarged_short_side * size)
    scale = short / min(height, width)
    enlarged = (max(short, round(height * scale)), max(short, round(width * scale)))
    if enlarged[0] * enlarged[1] > MOST_ENLARGED_PIXELS:
        raise ScoreError(f"{width}x{height} is too narrow to be scored.")
    return enlarged


def resize(picture: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """A picture (3, H, W) as (3, height, width), bilinear with antialiasing."""
    return F.interpolate(picture[None], (height, width), mode="bilinear", antialias=True)[0]


def low_level_distance(picture: torch.Tensor, branch: LowLevelBranch) -> float:
    """Distance of a picture's patches, overlapping by half, from the pristine ones; 0 or more.

    Args:
        picture: (3, H, W) in [0, 1], of two patches or more (`enlarged_size`).
        branch: encoder, pristine statistics and settings.

    Raises:
        ScoreError: the distance cannot be computed.
    """
    size = branch.settings.patch_size
    grid = patch_grid(picture, size, size // 2)
    features = patch_features(branch.encoder, grid, branch.settings.chunk, branch.precision)
    try:
        return distance(branch.pristine, statistics(features), branch.settings.regularisation)
    except ValueError as error:
        raise ScoreError(str(error)) from None


def score_picture(image: RatedImage, picture: torch.Tensor, branch: LowLevelBranch) -> ScoreRow:
    """The row of a picture (3, H, W) in [0, 1] that was read from `image.path`."""
    read_height, read_width = picture.shape[-2:]
    status = "ok"
    try:
        if image.size is not None and (read_height, read_width) != image.size:
            picture = resize(picture, *image.size)
            status += f", resized to {image.size[1]}x{image.size[0]}"
        height, width = picture.shape[-2:]
        enlarged = enlarged_size(height, width, branch.settings)
        if enlarged != (height, width):
            picture = resize(picture, *enlarged)
            status += f", enlarged to {enlarged[1]}x{enlarged[0]}"
        quality = low_level_quality(low_level_distance(picture, branch))
    except ScoreError as error:
        return ScoreRow(image.name, read_width, read_height, None, None, None, image.mos, str(error))
    return ScoreRow(image.name, read_width, read_height, quality, None, None, image.mos, status)


def score_images(images: Sequence[RatedImage], branch: LowLevelBranch) -> Iterator[ScoreRow]:
    """One row an image, in order, each as it is done; an unreadable image is a row that says why.

    A row depends on its own image only.
    """
    with ThreadPoolExecutor(1) as decoder:
        ahead: deque[Future[torch.Tensor]] = deque()
        waiting = iter(images)
        for image in images:
            while len(ahead) <= DECODED_AHEAD and (following := next(waiting, None)) is not None:
                ahead.append(decoder.submit(read_image, following.path))
            try:
                row = score_picture(image, ahead.popleft().result(), branch)
            except ImageReadError as error:
                reason = str(error).removeprefix(f"{image.path}: ")
                row = ScoreRow(image.name, None, None, None, None, None, image.mos, reason)
            except (MemoryError, torch.OutOfMemoryError):
                reason = "does not fit in memory"
                row = ScoreRow(image.name, None, None, None, None, None, image.mos, reason)
            yield row
