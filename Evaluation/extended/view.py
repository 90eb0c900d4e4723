"""The size at which the extended score looks at an image: as people do, at a view of about a megapixel."""

from __future__ import annotations

import math

import torch

from configs import Settings
from Evaluation.image_sizes import resize, with_short_side

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
    short = min(height, width)
    most = math.inf if settings.view == "full" else MOST_PIXELS
    scale = max(min(1.0, math.sqrt(most / (height * width))), settings.patch_size / short)
    own = scale == 1 and height * width <= most
    return (
        (height, width) if own else with_short_side(height, width, round(short * scale), MOST_NARROW_PIXELS)
    )


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
