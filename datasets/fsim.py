"""FSIM and FSIMc (Zhang et al., IEEE TIP 2011), the annotator of the low-level branch (method.md part 1).

What depends on one image only, phase congruency and gradient, is computed once per image
(`describe`); what belongs to a pair is cheap (`compare`). Values equal piq 0.8.0's `fsim` with
data_range 1, which the authors train with.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import torch
import torch.nn.functional as F

from models.device import full_float32

# Phase congruency: log-Gabor filters, wavelengths 6, 12, 24, 48 pixels at 0, 45, 90, 135 degrees.
SCALES, ORIENTATIONS = 4, 4
SHORTEST_WAVELENGTH, SCALE_STEP = 6.0, 2.0
BANDWIDTH = 0.55
ANGULAR_DEVIATION = math.pi / (ORIENTATIONS * 1.2)
LOW_PASS_CUTOFF, LOW_PASS_ORDER = 0.45, 15
# The noise threshold lies this many deviations above the mean of a Rayleigh distribution, over 1.7.
NOISE_DEVIATIONS, NOISE_RESCALING = 2.0, 1.7
# The paper's stabilising constants for phase congruency, gradient, I and Q, and the weight of colour.
T1, T2, T3, T4, CHROMA_WEIGHT = 0.85, 160.0, 200.0, 200.0, 0.03

_RGB_TO_YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))
_SCHARR = ((-3.0, 0.0, 3.0), (-10.0, 0.0, 10.0), (-3.0, 0.0, 3.0))


class FsimDescription(NamedTuple):
    """What FSIM looks at in N images; each (N, h, w) at the sub-sampled size."""

    phase_congruency: torch.Tensor  # in [0, 1]
    gradient: torch.Tensor
    i: torch.Tensor
    q: torch.Tensor


def fsim(x: torch.Tensor, y: torch.Tensor, chromatic: bool = True) -> torch.Tensor:
    """FSIMc (FSIM of the luminance when not `chromatic`) of N pairs of images (N, 3, H, W) -> (N,)."""
    return compare(describe(x), describe(y), chromatic)


def fsim_matrix(versions: torch.Tensor, chromatic: bool = True) -> torch.Tensor:
    """FSIM of each two of D versions (D, 3, H, W) in [0, 1] -> (D, D), symmetric, ones on the diagonal."""
    description = describe(versions)
    matrix = torch.eye(len(versions), dtype=versions.dtype, device=versions.device)
    for i in range(1, len(versions)):
        one = FsimDescription(*(part[i : i + 1] for part in description))
        before = FsimDescription(*(part[:i] for part in description))
        matrix[i, :i] = matrix[:i, i] = compare(one, before, chromatic)
    return matrix


def describe(images: torch.Tensor) -> FsimDescription:
    """The maps of images (N, 3, H, W) in [0, 1], floating point; its precision is that of the result."""
    factor = max(1, round(min(images.shape[-2:]) / 256))
    images = F.avg_pool2d(images * 255, factor)  # the remainder of a side is dropped
    to_yiq = images.new_tensor(_RGB_TO_YIQ)
    y, i, q = torch.einsum("kc,nchw->knhw", to_yiq, images)
    with full_float32():
        return FsimDescription(phase_congruency(y), _gradient(y), i, q)


def compare(x: FsimDescription, y: FsimDescription, chromatic: bool = True) -> torch.Tensor:
    """FSIM of descriptions that broadcast against each other -> (N,)."""
    weight = torch.maximum(x.phase_congruency, y.phase_congruency)  # (N, h, w)
    score = weight * _similarity(x.phase_congruency, y.phase_congruency, T1)
    score *= _similarity(x.gradient, y.gradient, T2)
    if chromatic:
        score *= (_similarity(x.i, y.i, T3) * _similarity(x.q, y.q, T4)).abs() ** CHROMA_WEIGHT
    return score.sum((-2, -1)) / weight.sum((-2, -1))


def phase_congruency(luminance: torch.Tensor) -> torch.Tensor:
    """Kovesi's phase congruency PC2 with noise compensation of luminance (N, h, w) in [0, 255] -> (N, h, w).

    With z_s the complex response at scale s and u the direction of their sum Z, an orientation's
    energy is `Re(u* Z) - sum_s |Im(u* z_s)|` less a noise threshold; the result is the energies'
    sum over the amplitudes' sum.
    """
    n, height, width = luminance.shape
    eps = torch.finfo(luminance.dtype).eps
    filters, noise_gain = _log_gabor(height, width, luminance.dtype, luminance.device)
    spectrum = torch.fft.fft2(luminance)[:, None]  # (N, 1, h, w)
    energy = luminance.new_full((n, height, width), eps)
    amplitude = luminance.new_full((n, height, width), eps)
    for bank, gain in zip(filters, noise_gain, strict=True):  # one orientation
        response = torch.fft.ifft2(spectrum * bank)  # (N, scales, h, w), complex
        magnitude = response.abs()
        # Noise power from the median squared amplitude at the finest scale (of two middle values
        # the lower), which is Rayleigh distributed where the image is noise.
        median = magnitude[:, 0].flatten(1).median(-1).values.square()  # (N,)
        rayleigh = (median / math.log(2.0) * gain).sqrt()
        mean, deviation = math.sqrt(math.pi / 2), math.sqrt(2 - math.pi / 2)
        threshold = rayleigh * (mean + NOISE_DEVIATIONS * deviation) / NOISE_RESCALING
        total = response.sum(1)  # (N, h, w)
        length = total.abs()
        direction = (total / (length + eps)).conj()
        across = (
            (direction.real[:, None] * response.imag + direction.imag[:, None] * response.real).abs_().sum(1)
        )
        energy += ((direction * total).real - across - threshold[:, None, None]).clamp_min(0)
        amplitude += magnitude.sum(1)
    return energy / amplitude


def _gradient(luminance: torch.Tensor) -> torch.Tensor:
    """Scharr gradient magnitude of (N, h, w), zeros beyond the border."""
    horizontal = luminance.new_tensor(_SCHARR) / 16
    kernels = torch.stack([horizontal, horizontal.T])[:, None]  # (2, 1, 3, 3)
    return F.conv2d(luminance[:, None], kernels, padding=1).square_().sum(1).sqrt_()


def _similarity(x: torch.Tensor, y: torch.Tensor, constant: float) -> torch.Tensor:
    return (2 * x * y + constant) / (x.square() + y.square() + constant)


@functools.lru_cache(maxsize=8)
def _log_gabor(
    height: int, width: int, dtype: torch.dtype, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Filters in the frequency domain (orientations, scales, h, w) and what noise power becomes in each.

    The gain is the energy of the real impulse response summed over scales, by Parseval times h w,
    over the energy of the finest scale's filter: (orientations,).
    """
    rows, columns = torch.meshgrid(
        _frequencies(height, dtype, device), _frequencies(width, dtype, device), indexing="ij"
    )
    radius, angle = (rows.square() + columns.square()).sqrt(), torch.atan2(-columns, rows)
    low_pass = 1 / (1 + (radius / LOW_PASS_CUTOFF) ** (2 * LOW_PASS_ORDER))
    radius, angle, low_pass = (torch.fft.ifftshift(part) for part in (radius, angle, low_pass))
    radius[0, 0] = 1  # the logarithm of 0; the filters are set to 0 there
    wavelengths = SHORTEST_WAVELENGTH * SCALE_STEP ** torch.arange(SCALES, dtype=dtype, device=device)
    radial = torch.exp(-(radius * wavelengths[:, None, None]).log().square() / (2 * math.log(BANDWIDTH) ** 2))
    radial = radial * low_pass  # (scales, h, w)
    radial[:, 0, 0] = 0
    orientations = torch.arange(ORIENTATIONS, dtype=dtype, device=device) * (math.pi / ORIENTATIONS)
    difference = angle - orientations[:, None, None]
    difference = torch.atan2(difference.sin(), difference.cos())  # wrapped into [-pi, pi]
    angular = torch.exp(-difference.square() / (2 * ANGULAR_DEVIATION**2))  # (orientations, h, w)
    filters = angular[:, None] * radial
    impulse = torch.fft.ifft2(filters).real.sum(1)  # (orientations, h, w)
    gain = impulse.square().sum((-2, -1)) * (height * width) / filters[:, 0].square().sum((-2, -1))
    return filters, gain


def _frequencies(length: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Kovesi's grid: cycles a pixel from -.5, ending at .5 for odd lengths and one step before for even."""
    steps = torch.arange(length, dtype=dtype, device=device) - length // 2
    return steps / (length - 1 if length % 2 else length)
