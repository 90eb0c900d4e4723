"""A run's folder: configuration, log, TensorBoard, plot of the loss, checkpoints."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from utils.errors import UserError
from utils.files import atomic_path


class RunFolder:
    """`RunNNNN` with `config_details.json`, `log.jsonl`, `Logs/` (TensorBoard), `loss.png` and `Train/`."""

    def __init__(self, path: Path, first_step: int = 0) -> None:
        """Open the folder for logging from `first_step` on; what was logged beyond it is dropped."""
        self.path = path
        self.checkpoint = checkpoint_of(path)
        self.weights = path / "Train"
        self.weights.mkdir(parents=True, exist_ok=True)
        log = path / "log.jsonl"
        lines = [line for line in read_log(log) if line["step"] < first_step]
        _write_atomically(log, "".join(json.dumps(line) + "\n" for line in lines))
        self._log = log.open("a", encoding="utf-8")
        self._tensorboard = SummaryWriter(str(path / "Logs"), purge_step=first_step)

    def record(self, line: dict[str, Any], figures: dict[str, float]) -> None:
        """Append one step: `line` holds step, loss and learning rate, `figures` what the branch adds."""
        self._log.write(json.dumps(line | figures) + "\n")
        self._tensorboard.add_scalar("TrainLoss", line["loss"], line["step"])
        self._tensorboard.add_scalar("LearningRate", line["learning_rate"], line["step"])
        for name, value in figures.items():
            tag = name.title().replace("_", "")  # quality_low: QualityLow
            self._tensorboard.add_scalar(tag, value, line["step"])

    def flush(self) -> None:
        """Bring the log to the disk, as far as the checkpoint that is about to be written knows it."""
        self._log.flush()
        os.fsync(self._log.fileno())
        self._tensorboard.flush()

    def close(self) -> None:
        """Flush and close the logs and draw the loss."""
        self.flush()
        self._log.close()
        self._tensorboard.close()
        plot_loss(self.path / "log.jsonl", self.path / "loss.png")


def checkpoint_of(run: Path) -> Path:
    """The one checkpoint of a run."""
    return run / "Train" / "latest.pt"


def make_run_folder(results: str | Path, config: dict[str, Any]) -> Path:
    """Make the next free `RunNNNN` below `results` and write the configuration into it."""
    results = Path(results)
    results.mkdir(parents=True, exist_ok=True)
    number = 1 + max(_run_numbers(results), default=0)
    while True:
        path = results / f"Run{number:04d}"
        with contextlib.suppress(FileExistsError):  # another run that started at the same moment
            path.mkdir()
            break
        number += 1
    _write_atomically(path / "config_details.json", json.dumps(config, indent=2) + "\n")
    return path


def last_run(results: str | Path) -> Path:
    """The newest run below `results`; raises `UserError` where there is none."""
    numbers = _run_numbers(Path(results))
    if not numbers:
        raise UserError(f"{results}: there is no run to go on with.")
    return numbers[max(numbers)]


def _run_numbers(results: Path) -> dict[int, Path]:
    return {int(path.name[3:]): path for path in results.glob("Run*") if path.name[3:].isdigit()}


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a run's log; a last line cut short by a power cut is left out."""
    if not path.is_file():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            lines.append(json.loads(text))
    return lines


def plot_loss(log: Path, image: Path) -> None:
    """Draw each step's loss and its running mean over a fiftieth of the run."""
    # Imported here: a second of start-up that only the end of a run needs.
    import numpy as np
    from matplotlib.figure import Figure

    lines = read_log(log)
    if not lines:
        return
    steps = np.array([line["step"] for line in lines])
    losses = np.array([line["loss"] for line in lines])
    window = max(1, len(losses) // 50)
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(steps, losses, color="0.8", linewidth=0.8, label="each step")
    smooth = np.convolve(losses, np.ones(window) / window, mode="valid")
    axes.plot(steps[window - 1 :], smooth, color="tab:blue", label=f"mean of {window} steps")
    axes.set(xlabel="step", ylabel="loss", title=log.parent.name)
    axes.legend()
    figure.savefig(image, dpi=100)


def _write_atomically(path: Path, text: str) -> None:
    with atomic_path(path) as part:
        part.write_text(text, encoding="utf-8")
