"""What a GPU must show: the processor's values, images a second by chunk, and steps of both trainings.

python -m benchmarks.gpu [--device cuda] [--images 512]

Runs on a processor too, where it proves no more than that it runs.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from configs import Settings, Synthesis
from utils.cli import command, make_parser
from utils.errors import UserError

if TYPE_CHECKING:
    import torch

    from Evaluation.grepq import GRepQ

Precision = Literal["float32", "bfloat16"]
ROOT = Path(__file__).resolve().parent.parent
CHUNKS = (64, 256, 1024)
# Sample images whose values are compared.
SAMPLES = 4
# What is trained on, made of the sample images.
SET = Synthesis(crops=2, crop_size=300)
# What the trainings are asked for beside their data.
LOW, HIGH = ("batch_size=8",), ("batch_size=8", "group_size=2")
# Largest difference to the processor's features in float32, and to its scores by precision; in bfloat16 that
# of the extended score is told and not judged, because rounding moves its regression by up to a hundredth.
MOST_FEATURES = 1e-4
MOST_SCORE: dict[Precision, float] = {"float32": 1e-4, "bfloat16": 2e-3}


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 all agrees, 1 a difference is too large, 2 bad input, 130 interrupted."""
    parser = make_parser(__doc__, __file__)
    parser.add_argument("--device", default="auto", help="default: a GPU where there is one")
    parser.add_argument(
        "--images", type=int, default=512, help="500 x 500 ones that are scored for each chunk"
    )
    parser.add_argument("--epochs", type=int, default=4, help="of each training")
    args = parser.parse_args(argv)
    if args.images < 1 or args.epochs < 1:
        raise UserError("--images and --epochs are 1 or more.")

    # Only now: --help does not wait for torch.
    import torch

    from models.device import choose_device

    device = choose_device(args.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "a processor"
    print(f"{name}, torch {torch.__version__}, CUDA {torch.version.cuda or 'none'}")
    agrees = [parity(str(device), precision) for precision in MOST_SCORE]
    for precision in MOST_SCORE:
        for chunk in CHUNKS:
            throughput(device, precision, chunk, args.images)
    processes = max(1, torch.cuda.device_count()) if device.type == "cuda" else 1
    train(device.type, processes, args.epochs)
    return 0 if all(agrees) else 1


def parity(device: str, precision: Precision) -> bool:
    """Print how far features and scores of the sample images are from the processor's; whether it is near."""
    import numpy as np

    from datasets.image_files import list_images
    from Evaluation.grepq import GRepQ

    samples, near = list_images(ROOT / "samples")[:SAMPLES], True
    for score in ("paper", "own"):
        here = GRepQ(Settings(branch="low", device=device, precision=precision, score=score))
        there = GRepQ(Settings(branch="low", device="cpu", engine="torch", score=score))
        apart = max(abs(_score(here, path) - _score(there, path)) for path in samples)
        print(f"{precision}, {here.name}: scores differ by {apart:.1e} at most")
        near &= apart <= MOST_SCORE[precision] or (precision == "bfloat16" and score == "own")
    if precision == "float32":
        apart = max(float(np.abs(here.features(path) - there.features(path)).max()) for path in samples)
        print(f"{precision}: features differ by {apart:.1e} at most")
        near &= apart <= MOST_FEATURES
    return near


def throughput(device: torch.device, precision: Precision, chunk: int, count: int) -> None:
    """Print images a second of a folder and what the card held."""
    import torch
    from PIL import Image

    from Evaluation import measuring
    from Evaluation.grepq import GRepQ

    model = GRepQ(Settings(branch="low", device=str(device), precision=precision, chunk=chunk)).load()
    former, measuring.TOGETHER = measuring.TOGETHER, max(measuring.TOGETHER, chunk * 96 * 96)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "500.jpg"
            Image.open(ROOT / "samples" / "coffee.jpg").resize((500, 500)).save(path, quality=90)
            list(model.score_images([path] * min(count, 16)))
            started = time.perf_counter()
            list(model.score_images([path] * count))
            rate = count / (time.perf_counter() - started)
    finally:
        measuring.TOGETHER = former
    held = f", {torch.cuda.max_memory_allocated(device) / 2**30:.2f} GiB" if device.type == "cuda" else ""
    print(f"{precision}, chunks of {chunk}: {rate:.1f} images of 500 x 500 a second{held}")


def train(kind: str, processes: int, epochs: int) -> None:
    """Some steps of both branches, by nccl where there are several GPUs; prints seconds a step."""
    import json

    import torch
    from safetensors.torch import save_file

    from datasets.distorted.synthesis import synthesize
    from models.weights.clip import import_clip

    with tempfile.TemporaryDirectory() as folder:
        root, clip = Path(folder) / "set", Path(folder) / "clip.safetensors"
        synthesize([ROOT / "samples"], root, SET, workers=2)
        torch.manual_seed(0)
        small = import_clip().model.CLIP(64, 64, (1, 1, 1, 1), 8, None, 77, 49408, 64, 1, 1)
        save_file({key: value.contiguous() for key, value in small.state_dict().items()}, clip)
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
        high = [
            "--run_type",
            "hl_model_train",
            "--set",
            f"clip_weights={clip}",
            "batch_size=8",
            "group_size=2",
        ]
        for name, words in (("low-level", ["--set", "batch_size=8"]), ("high-level", high)):
            results = Path(folder) / name
            settings = [f"data={root}", f"results={results}", f"epochs={epochs}", f"device={kind}"]
            call = [sys.executable, *(launcher if processes > 1 else []), "train.py", *words, *settings]
            done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True)
            if done.returncode:
                raise UserError(
                    f"The {name} training ended with status {done.returncode}: {done.stderr[-500:]}"
                )
            (log,) = results.rglob("log.jsonl")
            taken = [json.loads(line)["seconds"] for line in log.read_text().splitlines()]
            print(f"{name} training, {processes} processes: {len(taken)} steps, the last {taken[-1]:.3f} s")


def _score(model: GRepQ, path: Path) -> float:
    return float(model.score(path).q_low)  # type: ignore[union-attr, arg-type]


if __name__ == "__main__":
    sys.exit(main())
