"""Train an encoder without human scores: python train.py --set data=DIR."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

from configs import TRAINING_PRESETS
from utils.cli import CommandLine
from utils.config_fields import from_saved, override
from utils.errors import UserError


def main() -> int:
    """Exit status: 0 trained, 1 stopped by a loss that is not finite, 2 bad input, 130 interrupted."""
    parser = CommandLine(__doc__)
    add = parser.add_argument
    add(
        "--run_type",
        default="ll_model_train",
        choices=TRAINING_PRESETS,
        help="which encoder: ll low level, hl high level (CLIP)",
    )
    add(
        "--preset",
        default="default",
        help="default, released (the authors' settings), or of the low level taught and taught_on_chains",
    )
    add("--set", action="extend", nargs="+", default=[], metavar="FIELD=VALUE", dest="changes",
        help="fields of the configuration; configs.py lists them with their reasons")  # fmt: skip
    add("--resume", nargs="?", const="", metavar="RUN",
        help="go on with a run exactly where it was; without a name the newest")  # fmt: skip
    arguments = parser.parse_args()
    try:
        return run(arguments.run_type, arguments.preset, arguments.changes, arguments.resume)
    except KeyboardInterrupt:
        print("\nInterrupted before the first step: start it again with the same command.", file=sys.stderr)
        return 130
    except ArithmeticError as error:
        print(error, file=sys.stderr)
        return 1
    except (ValueError, OSError) as error:
        # From a reading process it arrives with that process's traceback in front of it.
        print(str(error).strip().rpartition("\n")[2], file=sys.stderr)
        return 2
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        # Imported here, so that --help does not wait for torch.
        from models.device import out_of_memory

        if not out_of_memory(error) and "DataLoader worker" not in reason:
            raise
        print(f"{reason} Try fewer photographs= or workers=0.", file=sys.stderr)
        return 2


def run(run_type: str, preset: str, changes: list[str], resume: str | None) -> int:
    """Start a run, or go on with the one called `resume` ("" is the newest of `run_type`)."""
    # Imported after the arguments were read, so that --help does not wait for torch.
    from training.checkpoint import read_checkpoint
    from training.distributed import from_first, is_first
    from training.high_level import high_level_task
    from training.loop import fit
    from training.low_level import low_level_task
    from training.run_folder import checkpoint_of, last_run, make_run_folder

    tasks: dict[str, Any] = {"ll_model_train": low_level_task, "hl_model_train": high_level_task}
    presets = TRAINING_PRESETS[run_type]
    if preset not in presets:
        raise UserError(f"There is no preset '{preset}' for {run_type}: {', '.join(presets)}.")
    config = override(presets[preset], changes)
    if resume is None:
        task = tasks[run_type](config)
        path = from_first(lambda: make_run_folder(config.results, dataclasses.asdict(config)))
    else:
        if changes or preset != "default":
            raise UserError("--resume goes on with the run's own configuration: no --set, no --preset.")
        path = Path(resume) if resume else last_run(config.results)
        saved = read_checkpoint(checkpoint_of(path))["config"]
        config = from_saved(TRAINING_PRESETS[saved["run_type"]]["default"], saved)
        task = tasks[config.run_type](config)
    say = print if is_first() else (lambda _: None)
    say(f"{'Training into' if resume is None else 'Going on with'} {path}")
    try:
        weights = fit(task, config, path, resume is not None)
    except KeyboardInterrupt:
        kept = checkpoint_of(path).is_file()
        way = f"go on with: python train.py --resume {path}" if kept else "there is no checkpoint yet."
        print(f"\nInterrupted; {way}", file=sys.stderr)
        return 130
    say(f"Weights: {weights}\n{task.scoring.format(weights)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
