"""The share of a training step that waits for data, in real runs on a set made from the sample images."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.timing import Row
from configs import LowLevelTraining, Synthesis
from datasets.distorted.synthesis import synthesize
from training.loop import fit
from training.low_level import low_level_task
from training.run_folder import make_run_folder, read_log

SAMPLES = Path(__file__).resolve().parent.parent / "samples"


def rows(img_dir: Path | None) -> Iterator[Row]:
    """Both forms of fragments."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "set"
        synthesize([SAMPLES], root, Synthesis(crops=2, crop_size=300), workers=2)
        for name, per_side, size, epochs in (("1 x 1 of 96", 1, 96, 8), ("7 x 7 of 32", 7, 32, 2)):
            config = LowLevelTraining(
                data=(str(root),), results=folder, fragments_per_side=per_side, fragment_size=size,
                epochs=epochs,
            )  # fmt: skip
            run = make_run_folder(folder, dataclasses.asdict(config))
            with contextlib.redirect_stdout(io.StringIO()):
                fit(low_level_task(config), config, run)
            lines = read_log(run / "log.jsonl")[2:]  # the first ones start the workers
            whole, waited = (sum(line[key] for line in lines) for key in ("seconds", "waited"))
            yield Row(
                f"share of a training step that waits for data, {name}", "", [], [100 * waited / whole], "%"
            )
