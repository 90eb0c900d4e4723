"""The size at which the extended score looks at an image: as people do, at a view of about a megapixel."""

from __future__ import annotations

import math

import torch

from configs import Settings
from Evaluation.image_sizes import resize, sides, with_short_side
from utils.errors import UserError

# 1,224 x 816 of a photograph of 3 : 2, about what a screen shows of it (docs/ablations.md, The view).
MOST_PIXELS = 1_000_000
# Of the view of a sliver, whose short side holds one patch; 1 x 5,000 would take 12 GB.
MOST_NARROW_PIXELS = 4 * MOST_PIXELS


def view_size(height: int, width: int, settings: Settings) -> tuple[int, int]:
    """(height, width) of the view of an image: its own wherever it holds a patch and is not too large.

    A larger one is made smaller, unless `settings.view` is "full"; one that holds no patch is enlarged until
    its short side does.

    Raises:
        UserError: the image is so narrow that it would become too large.
    """
    own = sides(height, width)
    most = math.inf if settings.view == "full" else MOST_PIXELS
    scale = (most / own.prod()).sqrt().clamp_max(1).maximum(settings.patch_size / own.min())
    size = with_short_side(height, width, (own.min() * scale).round())
    changed = size != (height, width) or settings.view == "bounded"
    if changed and size[0] * size[1] > MOST_NARROW_PIXELS:
        raise UserError(f"{width}x{height} is too narrow to be scored.")
    return size


def to_view(image: torch.Tensor, own: tuple[int, int], settings: Settings) -> tuple[torch.Tensor, str]:
    """The view (3, h, w) of an image of (height, width) `own`, and a note where it is not the image itself.

    Args:
        image: (3, H, W), all its pixels or its view.
        own: size of the image as it was read.
        settings: of the view.

    Raises:
        UserError: the image is so narrow that it would become too large.
    """
    size = view_size(*own, settings)
    view = image if tuple(image.shape[-2:]) == size else resize(image, *size)
    done = "enlarged to" if size > own else "viewed at"
    return view, "" if size == own else f"{done} {size[1]}x{size[0]}"
