"""Peak memory and time of one 4000 x 3000 image through both branches, in a process of its own."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save_file

from benchmarks.timing import machine
from models.weights.clip import import_clip

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Score an image by `test_zeroshot.py`, with a CLIP of RN50's sizes and random weights."""
    print(f"A 4000 x 3000 image through both branches ({machine()})")
    with tempfile.TemporaryDirectory() as folder:
        image, clip = Path(folder) / "large.jpg", Path(folder) / "RN50.safetensors"
        Image.open(ROOT / "samples" / "coffee.jpg").resize((4000, 3000)).save(image, quality=95)
        torch.manual_seed(0)
        model = import_clip().model.CLIP(1024, 224, (3, 4, 6, 3), 64, None, 77, 49408, 512, 8, 12)
        save_file({key: value.half().contiguous() for key, value in model.state_dict().items()}, clip)
        for branch in ("low", "high", "both"):
            arguments = ["--branch", branch, "--clip_weights", str(clip), "--device", "cpu"]
            command = [sys.executable, "test_zeroshot.py", "--test_img_path", str(image), *arguments]
            started = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
            ended = resource.getrusage(resource.RUSAGE_CHILDREN)
            # The largest child so far: branches come in the order of what they need.
            peak, seconds = ended.ru_maxrss / 2**20, ended.ru_utime - started.ru_utime
            print(f"{branch:<5} peak {peak:4.2f} GiB resident, {seconds:4.0f} s of processor")


if __name__ == "__main__":
    main()
