"""Compression that every image meets on its way to a reader, and that is no fault of it."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image

# JPEG qualities, both ends included, and Pillow's subsamplings (4:4:4 and, as most files, 4:2:0).
QUALITIES = (65, 97)
SUBSAMPLINGS = (0, 2, 2)


def through_jpeg(images: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    """Images (D, 3, S, S) in [0, 1], each with probability `share` through a JPEG file of good quality.

    Grey level 0..255 are rounded on the way, as in any file. The generator is asked three times a
    image whatever comes out, so that one image's draw does not move the next one's.
    """
    draws = torch.rand(len(images), 3, generator=generator).tolist()
    low, high = QUALITIES
    passed = images.clone()
    for place, (chance, quality, subsampling) in enumerate(draws):
        if chance < share:
            pixels = (images[place] * 255).round().byte().permute(1, 2, 0).numpy()
            file = io.BytesIO()
            Image.fromarray(pixels).save(
                file, "JPEG", quality=low + int(quality * (high - low + 1)),
                subsampling=SUBSAMPLINGS[int(subsampling * len(SUBSAMPLINGS))],
            )  # fmt: skip
            with Image.open(file) as image:
                passed[place] = torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255
    return passed
