"""Small copies of images and their quality maps as pictures."""

from __future__ import annotations

import base64
import io
import textwrap
import warnings
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.cm
import matplotlib.colors
import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageEnhance

from datasets.decoder import read_reduced
from datasets.image_files import Loan
from datasets.rated.sets import RatedImage
from Evaluation.collection.maps import QualityMap

# From where on a map is as bright as it can be: more than nearly all patches of photographs have.
MOST_DISTANCE, MOST_DISTORTION = 25.0, 1.6
# Of a map: pixels of its longer side, steps of its colours, and how much of the image the worst covers.
MAP_SIDE, STEPS, OPACITY = 32, 32, 0.85
SHARE = np.linspace(0, 1, STEPS)
# Without the darkest, which are darker than the grey image that the map lies over.
COLOURS = matplotlib.colormaps["inferno"](np.linspace(0.25, 1, STEPS))[:, :3]
# How bright that grey image is, of 1, so that what is bright is so by the map alone.
DIMMED = 0.5
# Pixels of the longer side of an image that is drawn beside its maps.
FIGURE_SIDE = 640
# Letters of its name in a line above it and for each map, which fit however wide they are.
LETTERS = 25
STYLE: Any = {"text.parse_math": False, "font.size": 9}
# What the maps are, in words.
TITLES = {
    "distance": "distance to pristine patches (4 is usual)",
    "distortion": "distortion that the features tell",
}


def small_copy(image: RatedImage, side: int, loan: Loan) -> Image.Image:
    """The image, no side longer than `side` pixels.

    Raises:
        UserError: it cannot be read.
    """

    def size_to_read(height: int, width: int) -> tuple[int, int]:
        scale = min(1.0, side / max(height, width))
        return max(1, round(height * scale)), max(1, round(width * scale))

    pixels, _ = read_reduced(image.path, size_to_read, loan)  # (3, h, w); 16-bit grey at its own size
    copy = Image.fromarray((pixels.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8))
    copy.thumbnail((side, side))
    return copy


def heat(values: np.ndarray, found: QualityMap, most: float, shape: tuple[int, int]) -> Image.Image:
    """A map (rows, columns) as a picture of (height, width) `shape`, to be laid over the image.

    Of few colours, so that it takes few bytes: from clear at 0 to bright at `most` and more.
    """
    height, width = shape
    # Linear between the middles of patches, and beyond the outermost as these.
    across = np.stack([np.interp((np.arange(width) + 0.5) / width, found.columns, row) for row in values])
    whole = np.stack([np.interp((np.arange(height) + 0.5) / height, found.rows, one) for one in across.T], 1)
    picture = Image.fromarray((whole / most * (STEPS - 1)).round().clip(0, STEPS - 1).astype(np.uint8), "P")
    picture.putpalette((COLOURS * 255).round().astype(np.uint8).tobytes())
    picture.info["transparency"] = (SHARE * OPACITY * 255).round().astype(np.uint8).tobytes()
    return picture


def dimmed(copy: Image.Image) -> Image.Image:
    """The image as it is below a map, grey and dark."""
    return ImageEnhance.Brightness(copy.convert("L")).enhance(DIMMED).convert("RGB")


def scale_colours() -> np.ndarray:
    """The colours (STEPS, 3) of a map over an image of middling brightness, from 0 on."""
    opacity = SHARE[:, None] * OPACITY
    return opacity * COLOURS + (1 - opacity) * DIMMED / 2


def maps_of(found: QualityMap) -> dict[str, tuple[np.ndarray, float]]:
    """The maps that there are by name, each with the value at which it is as bright as it can be."""
    maps = {"distance": (found.distance, MOST_DISTANCE)}
    if found.distortion is not None:
        maps["distortion"] = (found.distortion, MOST_DISTORTION)
    return maps


def map_size(width: int, height: int) -> tuple[int, int]:
    """(height, width) of a small map of an image of this shape."""
    scale = MAP_SIDE / max(width, height)
    return max(1, round(height * scale)), max(1, round(width * scale))


def as_uri(picture: Image.Image, kind: str, **options: object) -> str:
    """A picture as part of a page, as "PNG", "JPEG" or "WEBP"."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


@matplotlib.rc_context(STYLE)
def draw_map(path: Path, copy: Image.Image, found: QualityMap, title: str) -> None:
    """Write an image and its maps side by side as PNG, with what they are and what the colours mean."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # of names in scripts that the font does not have
        map_figure(copy, found, title).savefig(path, format="png", dpi=100, metadata={"Software": None})


@matplotlib.rc_context(STYLE)
def map_figure(copy: Image.Image, found: QualityMap, title: str) -> Figure:
    """The image and its maps side by side."""
    maps = maps_of(found)
    width, height = copy.size
    heading = textwrap.fill(title, LETTERS * (1 + len(maps)))
    if found.distortion is not None:
        heading += f"\nlooks like {found.words} (of 1)" if found.words else "\nno distortion named"
    tall = min(4 * height / width, 12)  # of a sliver the picture would fill the memory
    tall += 1.2 + 0.2 * heading.count("\n")
    figure = Figure(figsize=(4 * (1 + len(maps)), tall), layout="constrained")
    axes = figure.subplots(1, 1 + len(maps))
    axes[0].imshow(copy)
    figure.suptitle(heading)
    colours = matplotlib.colors.ListedColormap(scale_colours())
    bars: Any = {"orientation": "horizontal", "extend": "max", "fraction": 0.06}
    for place, (name, (values, most)) in zip(axes[1:], maps.items(), strict=True):
        place.imshow(dimmed(copy))
        over = heat(values, found, most, map_size(width, height)).convert("RGBA")
        place.imshow(over.resize(copy.size, Image.Resampling.BILINEAR))
        place.set_title(TITLES[name])
        scale = matplotlib.cm.ScalarMappable(matplotlib.colors.Normalize(0, most), colours)
        figure.colorbar(scale, ax=place, label="bright is worse", **bars)
    figure.colorbar(scale, ax=axes[0], label=" ", **bars).ax.set_visible(False)  # so that all are level
    for place in axes:
        place.set(xticks=[], yticks=[])
    return figure
