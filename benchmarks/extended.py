"""What an extended score costs: against overlapping patches of all of the image, and by its size."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from PIL import Image

from benchmarks.timing import machine, seconds
from configs import Settings
from datasets.decoder import read_image
from Evaluation.grepq import GRepQ
from Evaluation.patches import overlapping_features, patch_grid

ROOT = Path(__file__).resolve().parent.parent
# Width, height and how often the reference is timed.
SIZES = ((500, 500, 5), (1920, 1080, 2), (4000, 3000, 1))
MEGAPIXELS = (1, 12, 48, 100)
SEMANTIC_PATCH = 224

ALONE = """
import resource, sys, time
from Evaluation import GRepQ
model = GRepQ.from_pretrained(branch="low", device="cpu").load()
model.score("samples/coffee.jpg")
times = []
for _ in range(3):
    started = time.perf_counter()
    model.score(sys.argv[1])
    times.append(time.perf_counter() - started)
print(min(times), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


@torch.inference_mode()
def reference(path: Path, model: GRepQ) -> None:
    """Patches of all of the image that overlap by half, of 96 for one encoder and of 224 for the other."""
    image = read_image(path)
    overlapping_features(image, model.encoders.low.model, model.settings)
    large = patch_grid(image, SEMANTIC_PATCH, SEMANTIC_PATCH // 2).flatten(0, 1)
    for patches in large.split(model.settings.chunk // 4):
        model.encoders.semantic.encoder(patches)


def main() -> None:
    """Print both tables."""
    print(f"Extended score of a JPEG file ({machine()})")
    with tempfile.TemporaryDirectory() as folder:
        # First, because a process reports at least the peak of the one that started it.
        first = None
        for megapixels in MEGAPIXELS:
            short = round((megapixels * 1e6 / 1.5) ** 0.5)
            path = made(Path(folder), round(1.5 * short), short)
            command = [sys.executable, "-c", ALONE, str(path)]
            done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
            once, peak = map(float, done.stdout.split())
            first = first or once
            print(
                f"{megapixels:>4} megapixels: {once:6.3f} s, {once / first:4.1f} x one, peak {peak:4.2f} GiB"
            )
        model = GRepQ(Settings(branch="low", device="cpu")).load()
        for width, height, repeats in SIZES:
            path = made(Path(folder), width, height)
            before = seconds(lambda path=path: reference(path, model), repeats)  # type: ignore[misc]
            now = seconds(lambda path=path: model.score(path), 2 * repeats)  # type: ignore[misc]
            print(f"{width:>5} x {height:<5} {before:7.2f} s by overlapping patches, {now:6.3f} s, "
                  f"{before / now:5.1f} x")  # fmt: skip


def made(folder: Path, width: int, height: int) -> Path:
    """A JPEG file of that size."""
    path = folder / f"{width}x{height}.jpg"
    Image.open(ROOT / "samples" / "coffee.jpg").resize((width, height)).save(path, quality=95)
    return path


if __name__ == "__main__":
    main()
