"""The share of a training step that waits for data, in real runs on a set made from the sample images."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

from benchmarks.timing import machine
from configs import LowLevelTraining, Synthesis
from datasets.distorted.synthesis import synthesize
from training.loop import fit
from training.low_level import low_level_task
from training.run_folder import make_run_folder, read_log

SAMPLES = Path(__file__).resolve().parent.parent / "samples"


def main() -> None:
    """Print seconds a step and the share waited for both forms of fragments."""
    print(f"Waiting for data in a step of 8 x 9 x 2 ({machine()})")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "set"
        synthesize([SAMPLES], root, Synthesis(crops=2, crop_size=300), workers=2)
        for name, per_side, size, epochs in (("1 x 1 of 96", 1, 96, 10), ("7 x 7 of 32", 7, 32, 3)):
            config = LowLevelTraining(
                data=(str(root),),
                results=folder,
                fragments_per_side=per_side,
                fragment_size=size,
                epochs=epochs,
            )
            run = make_run_folder(folder, dataclasses.asdict(config))
            fit(low_level_task(config), config, run)
            lines = read_log(run / "log.jsonl")[2:]  # the first ones start the workers
            whole, waited = (sum(line[key] for line in lines) for key in ("seconds", "waited"))
            print(f"{name}: {whole / len(lines):5.2f} s a step, {100 * waited / whole:4.1f} % of it waiting")


if __name__ == "__main__":
    main()
