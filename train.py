"""Train an encoder without human scores: python train.py --set data=DIR."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from command_line import CommandLine
from configs import TRAINING_PRESETS, ConfigError, from_saved, override


def main() -> int:
    """Exit status: 0 trained, 1 stopped by a loss that is not finite, 2 bad input, 130 interrupted."""
    parser = CommandLine(__doc__)
    add = parser.add_argument
    add("--run_type", default="ll_model_train", choices=TRAINING_PRESETS, help="which encoder")
    add("--preset", default="default", help="default, or released: the authors' settings")
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
        if "out of memory" not in reason and "DataLoader worker" not in reason:
            raise
        print(f"{reason} Try fewer photographs=, versions= or workers=0.", file=sys.stderr)
        return 2


def run(run_type: str, preset: str, changes: list[str], resume: str | None) -> int:
    """Start a run, or go on with the one called `resume` ("" is the newest)."""
    # Imported after the arguments were read, so that --help does not wait for torch.
    from training.checkpoint import read_checkpoint
    from training.loop import fit
    from training.low_level import low_level_task
    from training.run_folder import checkpoint_of, last_run, make_run_folder

    presets = TRAINING_PRESETS[run_type]
    if preset not in presets:
        raise ConfigError(f"There is no preset '{preset}' for {run_type}: {', '.join(presets)}.")
    config = override(presets[preset], changes)
    if resume is None:
        task = low_level_task(config)
        path = make_run_folder(config.results, dataclasses.asdict(config))
    else:
        if changes or preset != "default":
            raise ConfigError("--resume goes on with the run's own configuration: no --set, no --preset.")
        path = Path(resume) if resume else last_run(config.results)
        config = from_saved(config, read_checkpoint(checkpoint_of(path))["config"])
        task = low_level_task(config)
    print(f"{'Training into' if resume is None else 'Going on with'} {path}")
    try:
        weights = fit(task, config, path, resume is not None)
    except KeyboardInterrupt:
        saved = checkpoint_of(path).is_file()
        way = f"go on with: python train.py --resume {path}" if saved else "there is no checkpoint yet."
        print(f"\nInterrupted; {way}", file=sys.stderr)
        return 130
    print(f"Weights: {weights}\nScore with them, DIR being a folder of sharp, undistorted photographs:")
    print(f"python test_zeroshot.py --ll_model_weights_path {weights} --pristine_img_dir DIR --img_dir ...")
    return 0


if __name__ == "__main__":
    sys.exit(main())
