"""Trains the low-level encoder in several ways and compares what comes out, resumably, in one table.

python -m benchmarks.sweep sweep.csv --data data/distorted --clive ChallengeDB_release
    --synthetic data/synthetic --pristine_img_dir photos
    --run "warm: temperature=0.5" "wide: preset=released epochs=30" --weights shipped=low_level.safetensors

Runs are trained into sweep_runs/NAME. Every weights file that a run exports is a row of sweep.csv; the score
of each picture is kept in sweep_scores.npz. The same command goes on where it was stopped.
What a run exports is scored by the paper's distance; installed weights by the score that they bring.
"""

from __future__ import annotations

import argparse
import dataclasses
import fcntl
import hashlib
import json
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.sweep_figures import (
    Sets,
    few_label_srcc,
    figures,
    load_sets,
    score_sets,
)
from benchmarks.sweep_table import LABELS, Row, Table, cell
from utils.cli import CommandLine
from utils.config_fields import override
from configs import TRAINING_PRESETS, VERSION, ConfigError, ZeroShot
from datasets.decoder import list_images
from Evaluation.extended.score import content_of_score, score_of_weights
from Evaluation.patches import CENTRE_DEVIATION
from Evaluation.pristine import pristine_of_folder
from Evaluation.zeroshot import LowLevelBranch
from models.device import choose_device, choose_precision
from models.weights.low_level import load_low_level
from training.checkpoint import CheckpointError
from training.run_folder import checkpoint_of, last_run

TRAIN = Path(__file__).resolve().parent.parent / "train.py"


@dataclass(frozen=True)
class Run:
    """A training to make: its name, the preset of `train.py` and the fields that differ from it."""

    name: str
    preset: str
    changes: tuple[str, ...]

    @property
    def settings(self) -> str:
        """As a cell of the table."""
        preset = () if self.preset == "default" else (f"preset={self.preset}",)
        return " ".join((*preset, *self.changes))

    def arguments(self, data: str, results: Path) -> list[str]:
        """The assignments of `--set`; the run's own `data` goes before the sweep's."""
        return [f"data={data}", f"results={results}", *self.changes]


@dataclass(frozen=True)
class Evaluator:
    """What all weights are scored with."""

    sets: Sets
    pristine: Path
    settings: ZeroShot
    device: Any
    precision: Any

    @property
    def protocol(self) -> str:
        """In words, with a digest: rows of two protocols are not compared."""
        photographs = list_images(self.pristine)
        known = json.dumps(
            [
                [(image.name, image.mos) for image in self.sets.images],
                [(path.name, path.stat().st_size) for path in photographs],
                dataclasses.asdict(self.settings),
                VERSION,
                CENTRE_DEVIATION,  # of the few-label features, whatever the score
            ]
        )
        return (
            f"CLIVE {len(self.sets.clive)}, synthetic {len(self.sets.synthetic)}, pristine "
            f"{len(photographs)} photographs, {str(self.precision).removeprefix('torch.')}, "
            f"{hashlib.sha256(known.encode()).hexdigest()[:12]}"
        )

    def evaluate(self, path: Path) -> tuple[np.ndarray, Row]:
        """The score of each picture, and the cells of the row that follow from the weights alone."""
        started = time.perf_counter()
        weights = load_low_level(path)
        weights.model.to(self.device)
        pristine = pristine_of_folder(weights, self.settings, self.pristine, None, say)
        score = score_of_weights(weights.metadata, path)
        content = content_of_score(score, path, self.device)
        branch = LowLevelBranch(
            weights.model, pristine.statistics, self.settings, self.precision, score,
            content.encoder if content else None,
        )  # fmt: skip
        scores, features = score_sets(self.sets, branch)
        cells = {"steps": weights.metadata.get("steps", ""), "sha256": weights.sha256}
        for name, figure in figures(self.sets, scores).items():
            cells[name], cells[f"{name}_se"] = cell(figure.value), cell(figure.error)
        for count in LABELS:
            cells[f"labels_{count}"] = cell(few_label_srcc(self.sets, features, count))
        return scores, {**cells, "seconds": f"{time.perf_counter() - started:.0f}"}


def say(sentence: str) -> None:
    """Standard output is the table's; what else there is to tell goes to standard error."""
    print(sentence, file=sys.stderr)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = CommandLine(__doc__)
    add = parser.add_argument
    add("table", type=Path, metavar="TABLE.csv", help="rows; what belongs to them is put beside it")
    add("--data", default="data/distorted", metavar="DIR", help="folder-per-image sets, %(default)s")
    add("--clive", type=Path, required=True, metavar="DIR", help="CLIVE; a part of it will do")
    add("--synthetic", type=Path, required=True, metavar="DIR", help="what make_synthetic_set.py wrote")
    add("--pristine_img_dir", type=Path, required=True, metavar="DIR", help="sharp photographs")
    add("--run", nargs="+", action="extend", default=[], metavar="RUN", dest="runs",
        help='"NAME: field=value ..." with the fields of train.py --set, and preset=')  # fmt: skip
    add("--weights", nargs="+", action="extend", default=[], metavar="NAME=FILE",
        help="weights that are there already, scored before the runs")  # fmt: skip
    add("--device", default="auto", help="of the scores: auto, cpu, cuda")
    add("--precision", choices=("float32", "bfloat16"), default="float32", help="of the test features")
    return parser.parse_args()


def main() -> int:
    """Exit status: 0 all done, 1 a training or a score failed, 2 bad input, 130 interrupted."""
    args = parse()
    try:
        runs, given = parse_runs(args.runs), parse_weights(args.weights)
        twice = {run.name for run in runs} & set(given)
        if twice or not (runs or given):
            raise ConfigError(
                f"'{twice.pop()}' is named twice." if twice else "Nothing to do: give --run or --weights."
            )
        if args.table.suffix != ".csv" or not args.table.parent.is_dir():
            raise ConfigError(f"{args.table}: the table is a .csv in a folder that is there.")
        results = args.table.resolve().with_name(f"{args.table.stem}_runs")
        for run in runs:  # before the first of many hours
            training_command(run, args.data, results / run.name)
        device = choose_device(args.device)
        precision = choose_precision(args.precision, device)
        sets = load_sets(args.clive, args.synthetic)
        evaluator = Evaluator(sets, args.pristine_img_dir, ZeroShot(), device, precision)
        with alone(args.table) as lock:
            table = Table(args.table, evaluator.protocol)
            failed = False
            for name, path in given.items():
                failed |= not add_row(table, evaluator, name, "", path)
            for run in runs:
                failed |= train(run, args.data, results / run.name, lock) != 0
                for path in exported(results / run.name):
                    failed |= not add_row(table, evaluator, run.name, run.settings, path)
            print(table.markdown(sets))
    except (ValueError, OSError) as error:
        say(f"sweep: {error}")
        return 2
    except KeyboardInterrupt:
        say("Interrupted: rows and checkpoints are kept, and the same command goes on from there.")
        return 130
    return int(failed)


def parse_runs(texts: Sequence[str]) -> list[Run]:
    """The runs of "NAME: field=value ..." texts; raises `ConfigError` on one that is not so."""
    runs: dict[str, Run] = {}
    for text in texts:
        name, colon, rest = text.partition(":")
        name = name.strip()
        if not colon or not re.fullmatch(r"[\w.-]*\w[\w.-]*", name):
            raise ConfigError(f"'{text}' is not of the form \"NAME: field=value ...\".")
        if name in runs:
            raise ConfigError(f"The run '{name}' is named twice.")
        try:
            words = shlex.split(rest)
        except ValueError as error:
            raise ConfigError(f"The run '{name}' cannot be read: {error}.") from None
        presets = [word.partition("=")[2] for word in words if word.startswith("preset=")]
        changes = tuple(word for word in words if not word.startswith("preset="))
        if any(word.partition("=")[0].strip() == "results" for word in changes):
            raise ConfigError(f"The run '{name}' sets results, which the sweep chooses.")
        runs[name] = Run(name, presets[-1] if presets else "default", changes)
    return list(runs.values())


def parse_weights(texts: Sequence[str]) -> dict[str, Path]:
    """Files by name, of NAME=FILE texts; raises `ConfigError` on one that is not so or not there."""
    found: dict[str, Path] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not (name and equals and path) or name in found:
            raise ConfigError(f"--weights {text}: expected NAME=FILE, each name once.")
        if not Path(path).is_file():
            raise ConfigError(f"{path}: there is no such weights file.")
        found[name] = Path(path)
    return found


def configuration(run: Run, data: str, results: Path) -> dict[str, Any]:
    """The whole configuration of a run as JSON leaves it; raises `ConfigError` where it cannot be one."""
    presets = TRAINING_PRESETS["ll_model_train"]
    if run.preset not in presets:
        raise ConfigError(f"The run '{run.name}': there is no preset '{run.preset}': {', '.join(presets)}.")
    try:
        config = override(presets[run.preset], run.arguments(data, results))
    except ConfigError as error:
        raise ConfigError(f"The run '{run.name}': {error}") from None
    return json.loads(json.dumps(dataclasses.asdict(config)))


def training_command(run: Run, data: str, results: Path) -> list[str]:
    """The arguments of `train.py` that begin the run or go on with it; none where it is done.

    Raises:
        ConfigError: what is there was trained with other settings.
    """
    fresh = ["--preset", run.preset, "--set", *run.arguments(data, results)]
    wanted = configuration(run, data, results)
    try:
        path = last_run(results)
        known = json.loads((path / "config_details.json").read_text(encoding="utf-8"))
    except (CheckpointError, OSError, ValueError):
        return fresh
    # Where the results lie may be written in several ways and changes no weight.
    differing = [key for key in {**wanted, **known} if wanted.get(key) != known.get(key) and key != "results"]
    if differing:
        raise ConfigError(
            f"{path}: was trained with other {', '.join(differing)}; give the run another name, or remove it."
        )
    if (path / "Train" / "final.safetensors").is_file():
        return []
    return ["--resume", str(path)] if checkpoint_of(path).is_file() else fresh


def train(run: Run, data: str, results: Path, lock: int) -> int:
    """Bring a run to its end in a process of its own; its exit status. `lock` is held by that process too."""
    arguments = training_command(run, data, results)
    if not arguments:
        return 0
    say(f"Run {run.name}: python train.py {shlex.join(arguments)}")
    # The figures of the training are for people: standard output is the table's.
    process = subprocess.Popen([sys.executable, str(TRAIN), *arguments], stdout=2, pass_fds=(lock,))
    try:
        status = process.wait()
    except KeyboardInterrupt:
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=60)  # Ctrl-C has reached it as well
        raise
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    if status == 130:
        raise KeyboardInterrupt
    if status:
        say(f"Run {run.name}: training ended with status {status}; what it exported is scored.")
    return status


def exported(results: Path) -> list[Path]:
    """The weights that the newest run in `results` left, in the order of their steps."""
    try:
        folder = last_run(results) / "Train"
    except CheckpointError:
        return []
    epochs = [path for path in folder.glob("epoch_*.safetensors") if path.stem[6:].isdigit()]
    final = folder / "final.safetensors"
    return [*sorted(epochs, key=lambda path: int(path.stem[6:])), *([final] if final.is_file() else [])]


def add_row(table: Table, evaluator: Evaluator, run: str, settings: str, path: Path) -> bool:
    """Score weights that have no row yet; False where they cannot be scored."""
    if table.has(run, path):
        return True
    say(f"Scoring {run} {path.name}")
    try:
        scores, cells = evaluator.evaluate(path)
    except ValueError as error:
        say(f"Run {run}: {path.name} has no row: {error}")
        return False
    named = {"run": run, "weights": path.name, "settings": settings, "protocol": table.protocol}
    table.put({**named, **cells}, scores)
    return True


@contextmanager
def alone(table: Path) -> Iterator[int]:
    """A lock on the table, as a file descriptor; a training that outlives a killed sweep holds it on.

    Raises:
        ConfigError: another process holds it.
    """

    def stop(number: int, frame: object) -> None:
        raise SystemExit(128 + number)  # so that a training is ended with the sweep

    with table.with_name(f".{table.name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"{table}: another sweep, or a training that it began, is at work.") from None
        before = signal.signal(signal.SIGTERM, stop)
        try:
            yield file.fileno()
        finally:
            signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    sys.exit(main())
