"""Distortions of images, each with one strength.

A distortion is a function of (image, level, rng): image (H, W, 3) float32 or float64 in [0, 1] as
displays take it (sRGB); level in [0, 1], or above for an image that is made smaller afterwards; what is
random comes from rng. It returns a new image of the same
shape and dtype, in [0, 1]. With the same rng state a higher level is a larger error. Lengths are in
pixels whatever the image's size, because quality is judged at full resolution. Between levels 0 (just
visible) and 1 (the worst that people upload) strengths grow geometrically, as perception does:

================  =====================================  ==============  ==============
name              strength                               level 0         level 1
================  =====================================  ==============  ==============
gaussian_blur     standard deviation                     0.5 px          5 px
motion_blur       length of the path, random direction   2 px            30 px
lens_blur         radius of the circle of confusion      0.8 px          8 px
white_noise       standard deviation, colour             0.01            0.2
dark_noise        photo-electrons that white gives       4000            40
                  read noise, electrons                  3               3
                  exposure that stays after gain         -0.2 stops      -1.2 stops
jpeg              quality (scale of the tables)          85 (30 %)       5 (1000 %)
jpeg2000          compression ratio                      12 : 1          200 : 1
resample          factor down and up, random filters     1.25            8
low_contrast      contrast that stays                    0.85            0.2
high_contrast     slope about the mean, clipped          1.15            3
over_exposure     exposure in linear light, clipped      +0.4 stops      +3 stops
under_exposure    exposure in linear light               -0.5 stops      -4 stops
haze              light of the scene that stays          0.9             0.25
colour_cast       white balance, red against blue        0.15 stops      2 stops
denoise           deviation below which texture goes     0.01            0.15
sharpen           unsharp mask, random width             0.5             6
================  =====================================  ==============  ==============
"""

from __future__ import annotations

import difflib
import functools
import io
import math
from collections.abc import Callable

import numpy as np
from PIL import Image
from scipy import ndimage

from configs import Synthesis
from utils.errors import UserError

Distortion = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]

# What comes of the file that an image is kept in, and so after all else.
FILE_KINDS = frozenset(("jpeg", "jpeg2000"))

# Strengths at level 0 and level 1 of what an even shrinking of the image by a factor f weakens, and the
# power of f by which it does: lengths and deviations of noise become f times what they were, and f^-2
# times as many photo-electrons come to a pixel.
_WEAKENED = {
    "gaussian_blur": (0.5, 5.0, 1),
    "motion_blur": (2.0, 30.0, 1),
    "lens_blur": (0.8, 8.0, 1),
    "white_noise": (0.01, 0.2, 1),
    "dark_noise": (4000.0, 40.0, -2),
    "resample": (1.25, 8.0, 1),
}

_FILTERS = (
    Image.Resampling.NEAREST,
    Image.Resampling.BILINEAR,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
)


def apply(kind: str, image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """`image` (H, W, 3) distorted by `kind`, a name of `DISTORTIONS` or a chain "a+b" (a first).

    In a chain each part's level is `level` times its own share, as `part_levels` says.
    Raises `UserError` on an unknown kind and a level outside [0, 1].
    """
    for part, own in part_levels(kind, level, rng):
        image = DISTORTIONS[part](image, own, rng)
    return image


def part_levels(
    kind: str, level: float, rng: np.random.Generator, share: tuple[float, float] = Synthesis.chain_share
) -> list[tuple[str, float]]:
    """The (name, level) of each part of a kind at `level`, in order.

    In a chain each part's level is `level` times its own share, uniform between the two of `share`.
    Raises `UserError` on an unknown kind and a level outside [0, 1].
    """
    parts = split_kind(kind)
    if not 0 <= level <= 1:
        raise UserError(f"A level lies between 0 and 1, not at {level:g}.")
    if len(parts) == 1:
        return [(kind, level)]
    shares = rng.uniform(*share, size=len(parts)).tolist()
    return [(part, level * own) for part, own in zip(parts, shares, strict=True)]


def level_before_shrinking(kind: str, level: float, factor: float) -> float:
    """The level at which an image must be distorted so that `level` is left once it is made `factor` times
    as large; above 1 where need be.

    Lengths and independent noise are made good to a fifth of their error at half the size; dark_noise, which
    spreads over neighbours, comes out up to a half too strong. Other kinds keep their level, though half the
    size takes up to two fifths of what sharpen does and three tenths of what denoise does.
    """
    if kind not in _WEAKENED:
        return level
    weakest, strongest, power = _WEAKENED[kind]
    return level - power * math.log(factor) / math.log(strongest / weakest)


def split_kind(kind: str) -> list[str]:
    """The names that "a+b" chains, in order; raises `UserError` on an unknown one, naming the nearest."""
    parts = kind.split("+")
    for part in parts:
        if part not in DISTORTIONS:
            near = difflib.get_close_matches(part, DISTORTIONS, n=1, cutoff=0.4)
            hint = f"did you mean '{near[0]}'?" if near else f"kinds: {', '.join(DISTORTIONS)}."
            raise UserError(f"There is no distortion '{part}': {hint}")
    twice = [part for part in parts if parts.count(part) > 1]
    if twice:
        raise UserError(f"'{kind}' has {twice[0]} twice: each distortion stands once in a chain.")
    return parts


def gaussian_blur(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Soft focus: a Gaussian on the displayed values."""
    sigma = _strength("gaussian_blur", level)
    return np.clip(ndimage.gaussian_filter(image, (sigma, sigma, 0), mode="reflect"), 0, 1)


def motion_blur(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """A camera that moves in a straight line while light falls in."""
    length, angle = _strength("motion_blur", level), rng.uniform(0, np.pi)
    along = np.linspace(-length / 2, length / 2, 8 * int(np.ceil(length)) + 1)
    y, x = along * np.sin(angle), along * np.cos(angle)
    half = int(np.ceil(length / 2)) + 1
    offsets = np.arange(-half, half + 1)
    # Every point of the path is shared among its four pixels, so that the length is continuous.
    rows = np.clip(1 - np.abs(offsets[:, None] - y), 0, None)  # (K, points)
    columns = np.clip(1 - np.abs(offsets[:, None] - x), 0, None)  # (K, points)
    return _blur_light(image, rows @ columns.T)


def lens_blur(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Out of focus: each point of light becomes an even disc with an anti-aliased rim."""
    radius = _strength("lens_blur", level)
    offsets = np.arange(-int(radius + 1), int(radius + 1) + 1)
    disc = np.clip(radius + 0.5 - np.hypot(offsets[:, None], offsets), 0, 1)
    return _blur_light(image, disc)


def white_noise(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise, independent in pixels and channels."""
    noise = rng.standard_normal(image.shape, dtype=image.dtype)
    return np.clip(image + image.dtype.type(_strength("white_noise", level)) * noise, 0, 1)


def dark_noise(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """A shot in poor light brought up by gain: photons are counted, read noise is added.

    The lens and the scene are the image's; `electrons` is what white would have gathered. Noise is
    strongest in dark areas once the display's curve is applied, and a pixel wide or more, because
    every sensor pixel sees one colour only and the others are interpolated.
    """
    electrons, stops = _strength("dark_noise", level), 0.2 + level
    light = _to_linear(image)
    counted = rng.poisson(light * electrons) + 3.0 * rng.standard_normal(image.shape, dtype=np.float32)
    noise = (counted / electrons - light).astype(image.dtype)
    noise = ndimage.gaussian_filter(noise, (0.5, 0.5, 0), mode="reflect")
    return _to_display((light + noise) * image.dtype.type(2.0**-stops))


def jpeg(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """JPEG with chroma at half resolution; the quantisation tables are scaled continuously."""
    scale = _geometric(0.3, 10.0, level)
    tables = [[min(255, max(1, round(step * scale))) for step in table] for table in _standard_jpeg_tables()]
    return _through_file(image, "JPEG", qtables=tables, subsampling="4:2:0")


def jpeg2000(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """JPEG 2000 with the irreversible wavelet at a fixed share of the raw size."""
    ratio = _geometric(12.0, 200.0, level)
    return _through_file(image, "JPEG2000", irreversible=True, quality_mode="rates", quality_layers=[ratio])


def resample(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Made smaller and enlarged again, each with a filter of its own."""
    factor = _strength("resample", level)
    down, up = (_FILTERS[i] for i in rng.integers(len(_FILTERS), size=2))
    height, width = image.shape[:2]
    small = (max(1, round(width / factor)), max(1, round(height / factor)))
    decoded = Image.fromarray(quantised(image)).resize(small, down).resize((width, height), up)
    return in_unit_range(decoded, image.dtype)


def low_contrast(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Everything drawn towards the image's mean grey."""
    return _stretch(image, _geometric(0.85, 0.2, level))


def high_contrast(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Everything pushed away from the image's mean grey until it clips."""
    return _stretch(image, _geometric(1.15, 3.0, level))


def over_exposure(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Too much light: highlights clip, channel by channel as on a sensor."""
    return _to_display(_to_linear(image) * image.dtype.type(2 ** (0.4 + 2.6 * level)))


def under_exposure(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Too little light: shadows sink below the first step of an 8-bit file."""
    return _to_display(_to_linear(image) * image.dtype.type(2 ** -(0.5 + 3.5 * level)))


def haze(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """A veil of light, bright and nearly grey, over a scene that fades behind it."""
    stays = _geometric(0.9, 0.25, level)
    veil = np.clip(rng.uniform(0.6, 1.0) + rng.uniform(-0.08, 0.08, size=3), 0, 1)
    return image * image.dtype.type(stays) + (veil * (1 - stays)).astype(image.dtype)


def colour_cast(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Wrong white balance: red and blue gained against each other in linear light, green a little."""
    stops = _geometric(0.15, 2.0, level) * rng.choice((-1.0, 1.0)) * np.array([0.5, 0, -0.5])
    stops[1] = rng.uniform(-0.25, 0.25) * abs(stops[0])
    return _to_display(_to_linear(image) * (2.0**stops).astype(image.dtype))


def denoise(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Texture smeared as noise reduction does, edges kept: the guided filter with itself as guide."""
    noise = image.dtype.type(_geometric(0.01, 0.15, level) ** 2)
    mean = ndimage.uniform_filter(image, (7, 7, 0))
    variance = np.clip(ndimage.uniform_filter(image * image, (7, 7, 0)) - mean * mean, 0, None)
    kept = variance / (variance + noise)
    smooth = ndimage.uniform_filter(mean * (1 - kept), (7, 7, 0))
    return np.clip(ndimage.uniform_filter(kept, (7, 7, 0)) * image + smooth, 0, 1)


def sharpen(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Over-sharpened: an unsharp mask that leaves halos, clipped."""
    sigma, amount = rng.uniform(0.8, 2.5), image.dtype.type(_geometric(0.5, 6.0, level))
    detail = image - ndimage.gaussian_filter(image, (sigma, sigma, 0), mode="reflect")
    return np.clip(image + amount * detail, 0, 1)


DISTORTIONS: dict[str, Distortion] = {
    function.__name__: function
    for function in (
        gaussian_blur, motion_blur, lens_blur, white_noise, dark_noise, jpeg, jpeg2000, resample,
        low_contrast, high_contrast, over_exposure, under_exposure, haze, colour_cast, denoise, sharpen,
    )
}  # fmt: skip


def _strength(kind: str, level: float) -> float:
    """Of a kind of `_WEAKENED`."""
    return _geometric(*_WEAKENED[kind][:2], level)


def _geometric(weakest: float, strongest: float, level: float) -> float:
    """From `weakest` at level 0 to `strongest` at level 1 in equal ratios."""
    return weakest * (strongest / weakest) ** level


def _stretch(image: np.ndarray, slope: float) -> np.ndarray:
    """Contrast multiplied by `slope` about the mean grey."""
    mean = image.mean(dtype=np.float64)
    return np.clip(image * image.dtype.type(slope) + image.dtype.type(mean * (1 - slope)), 0, 1)


def _to_linear(image: np.ndarray) -> np.ndarray:
    """Displayed values in [0, 1] -> light in [0, 1]: the sRGB curve."""
    return np.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4)


def _to_display(light: np.ndarray) -> np.ndarray:
    """Light -> displayed values; what lies outside [0, 1] clips."""
    light = np.clip(light, 0, 1)
    return np.clip(np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055), 0, 1)


def _blur_light(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """`image` convolved in linear light, as a lens does, with `kernel` (K, K, K odd) brought to sum 1."""
    from scipy import signal  # takes a second, which only these two distortions have to wait for

    half = kernel.shape[0] // 2
    kernel = (kernel / kernel.sum()).astype(image.dtype)
    # "symmetric" is what scipy.ndimage calls "reflect"; it also takes images smaller than the kernel.
    padded = np.pad(_to_linear(image), ((half, half), (half, half), (0, 0)), mode="symmetric")
    return _to_display(signal.fftconvolve(padded, kernel[..., None], mode="valid", axes=(0, 1)))


def _through_file(image: np.ndarray, file_format: str, **options: object) -> np.ndarray:
    """`image` written to a file in memory and read back."""
    file = io.BytesIO()
    Image.fromarray(quantised(image)).save(file, file_format, **options)
    with Image.open(file) as decoded:
        return in_unit_range(decoded, image.dtype)


def quantised(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) in [0, 1] as uint8, rounded."""
    return np.rint(image * 255).astype(np.uint8)


def in_unit_range(pixels: Image.Image | np.ndarray, dtype: np.dtype) -> np.ndarray:
    """An 8-bit RGB image -> (H, W, 3) in [0, 1]."""
    return np.asarray(pixels).astype(dtype) / dtype.type(255)


@functools.cache
def _standard_jpeg_tables() -> list[list[int]]:
    """The two quantisation tables of the JPEG standard: what the encoder uses at quality 50."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG", quality=50)
    with Image.open(file) as decoded:
        return [list(table) for _, table in sorted(decoded.quantization.items())]
