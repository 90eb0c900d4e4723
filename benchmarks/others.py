"""What people would take instead: BRISQUE, NIQE and PIQE, and a ResNet-50 that stands for ARNIQA's cost.

They are not among the requirements: pip install brisque opencv-python-headless pypiqe scikit-video
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import torch
from PIL import Image
from tqdm import tqdm

from benchmarks.memory import ROOT
from benchmarks.timing import Row, seconds
from configs import Settings
from datasets.rated.sets import load_rated_set
from Evaluation.grepq import GRepQ
from Evaluation.metrics import srcc
from utils.cli import say

Pixels = np.ndarray
# Images that each method is timed on.
TIMED = 12


def rows(img_dir: Path | None) -> Iterator[Row]:
    """Seconds an image, of one process with all its threads; SRCC on CLIVE where it is at hand."""
    paths, mos = images_of(img_dir)
    model = GRepQ(Settings(branch="low", device="cpu")).load()
    here = [float(model.score(path).q_low) for path in tqdm(paths, "GRepQ extended")]  # type: ignore[union-attr, arg-type]
    pixels = [np.array(Image.open(path).convert("RGB")) for path in paths]
    own = [seconds(partial(model.score, path)) for path in paths[:TIMED]]
    yield Row("GRepQ extended", "", [], own, remark=agreement(here, mos))
    for name, make in (("BRISQUE", brisque), ("NIQE", niqe), ("PIQE", piqe)):
        try:
            method = make()
        except ImportError as error:
            say(f"{name} is left out: {error}")
            continue
        found = [method(one) for one in tqdm(pixels, name)]
        times = [seconds(partial(method, one)) for one in pixels[:TIMED]]
        yield Row("the same", name, times, own, remark=f"{name}: {agreement(found, mos)}")
    arniqa = resnet50()
    times = [seconds(partial(arniqa, one)) for one in pixels[:TIMED]]
    yield Row("the same", "ResNet-50 at full and half size", times, own, remark="stands for ARNIQA")


def images_of(img_dir: Path | None) -> tuple[list[Path], list[float]]:
    """CLIVE with its MOS, or the sample images without."""
    if img_dir is None:
        return sorted((ROOT / "samples").glob("*.jpg")), []
    rated = load_rated_set("CLIVE", img_dir)
    there = [image for image in rated.images if image.path.is_file() and image.mos is not None]
    return [image.path for image in there], [float(image.mos) for image in there if image.mos is not None]


def agreement(scores: list[float], mos: list[float]) -> str:
    """SRCC of scores that grow with quality."""
    return f"SRCC {srcc(np.array(scores), np.array(mos)):.3f} on {len(mos)} of CLIVE" if mos else "no CLIVE"


def brisque() -> Callable[[Pixels], float]:
    """The package of that name, the lower the better; with NumPy 2.4 it has to be given numbers."""
    from brisque import BRISQUE

    class Plain(BRISQUE):
        def scale_features(self, features: Any) -> Any:
            return super().scale_features([float(np.ravel(one)[0]) for one in features])

    method = Plain(url=False)
    return lambda image: -float(method.score(image))


def niqe() -> Callable[[Pixels], float]:
    """That of scikit-video, the lower the better, which wants names that NumPy and SciPy dropped."""
    for name, kind in (("int", int), ("float", float), ("bool", bool), ("object", object)):
        if name not in vars(np):
            setattr(np, name, kind)
    misc = types.ModuleType("scipy.misc")
    misc.imresize = half  # type: ignore[attr-defined]
    sys.modules["scipy.misc"] = scipy.misc = misc
    from skvideo.measure import niqe as method

    return lambda image: (
        -float(np.ravel(method(np.array(Image.fromarray(image).convert("L"))[None, ..., None]))[0])
    )


def half(image: Pixels, share: float, interp: str, mode: str) -> Pixels:
    """An image in grey at a share of its size, as scipy.misc.imresize made it."""
    size = (int(image.shape[1] * share), int(image.shape[0] * share))
    return np.array(
        Image.fromarray(image.astype(np.float32), mode="F").resize(size, Image.Resampling.BICUBIC)
    )


def piqe() -> Callable[[Pixels], float]:
    """That of pypiqe, the lower the better."""
    from pypiqe import piqe as method

    return lambda image: -float(method(image)[0])


def resnet50() -> Callable[[Pixels], object]:
    """torchvision's, eager, with random weights."""
    from torchvision.models import resnet50 as make

    network = make(weights=None).eval()

    @torch.inference_mode()
    def run(image: Pixels) -> torch.Tensor:
        full = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        smaller = torch.nn.functional.interpolate(full, scale_factor=0.5, mode="bilinear", antialias=True)
        return torch.cat([network(full), network(smaller)])

    return run
