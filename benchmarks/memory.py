"""Peak memory and time by the size of an image, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save_file

from benchmarks.timing import Row
from models.weights.clip import import_clip

ROOT = Path(__file__).resolve().parent.parent
MEGAPIXELS = (1, 12, 48, 100)
ALONE = """
import resource, sys, time
from Evaluation import GRepQ
model = GRepQ.from_pretrained(device="cpu", **dict(word.split("=") for word in sys.argv[2:])).load()
model.score("samples/coffee.jpg")
times = []
for _ in range(1 if model.extended is None else 3):
    started = time.perf_counter()
    model.score(sys.argv[1])
    times.append(time.perf_counter() - started)
print(min(times), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


def rows(img_dir: Path | None) -> Iterator[Row]:
    """The extended score's time and peak by megapixels of a JPEG file, then the paper's, of both branches."""
    with tempfile.TemporaryDirectory() as folder:
        first = 0.0
        for megapixels in MEGAPIXELS:
            short = round((megapixels * 1e6 / 1.5) ** 0.5)
            taken, peak = alone(made(Path(folder), round(1.5 * short), short), "branch=low")
            first = first or taken
            work = f"extended score of a JPEG of {megapixels} megapixels"
            yield Row(work, "one of 1 megapixel", [first], [taken])
            yield Row("... its peak of memory", "", [], [peak], "GiB")
        clip = Path(folder) / "RN50.safetensors"
        torch.manual_seed(0)
        model = import_clip().model.CLIP(1024, 224, (3, 4, 6, 3), 64, None, 77, 49408, 512, 8, 12)
        save_file({key: value.half().contiguous() for key, value in model.state_dict().items()}, clip)
        large = made(Path(folder), 4000, 3000)
        for branch in ("low", "both"):
            _, peak = alone(large, f"branch={branch}", f"clip={clip}", "score=paper")
            yield Row(
                f"the paper's score of 4000 x 3000, branch {branch}: peak of memory", "", [], [peak], "GiB"
            )


def alone(path: Path, *settings: str) -> tuple[float, float]:
    """Seconds, of an extended score the shortest of three, and peak in GiB of a process that scores."""
    call = [sys.executable, "-c", ALONE, str(path), *settings]
    done = subprocess.run(call, cwd=ROOT, check=True, capture_output=True, text=True)
    taken, peak = map(float, done.stdout.split())
    return taken, peak


def made(folder: Path, width: int, height: int) -> Path:
    """A JPEG file of that size."""
    path = folder / f"{width}x{height}.jpg"
    Image.open(ROOT / "samples" / "coffee.jpg").resize((width, height)).save(path, quality=95)
    return path
