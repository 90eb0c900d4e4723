"""Train an encoder without human scores: python train.py --set data=DIR."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

from configs import TRAINING_PRESETS, ConfigError, from_saved, override


def main() -> int:
    """Exit status: 0 trained, 1 stopped by a loss that is not finite, 2 bad input, 130 interrupted."""
    parser = argparse.ArgumentParser(description="Train an encoder without human scores.")
    parser.add_argument("--run_type", default="ll_model_train", choices=TRAINING_PRESETS)
    parser.add_argument("--preset", default="default", help="default or released (the authors' settings)")
    parser.add_argument(
        "--set", action="extend", nargs="+", default=[], metavar="FIELD=VALUE", dest="changes",
        help="change fields of the configuration; configs.py lists them with their reasons",
    )  # fmt: skip
    parser.add_argument(
        "--resume", nargs="?", const="", metavar="RUN",
        help="go on with a run exactly where it was; without a name the newest",
    )  # fmt: skip
    arguments = parser.parse_args()
    try:
        return run(arguments)
    except KeyboardInterrupt:
        print("\nInterrupted; go on with: python train.py --resume", file=sys.stderr)
        return 130
    except ArithmeticError as error:
        print(error, file=sys.stderr)
        return 1
    except (ValueError, OSError) as error:
        # From a reading process it arrives with that process's traceback in front of it.
        print(str(error).strip().splitlines()[-1], file=sys.stderr)
        return 2


def run(arguments: argparse.Namespace) -> int:
    """Start or go on with a run."""
    # Imported after the arguments were read, so that --help does not wait for torch.
    from training.checkpoint import read_checkpoint
    from training.loop import fit
    from training.low_level import low_level_task
    from training.run_folder import checkpoint_of, last_run, make_run_folder

    presets = TRAINING_PRESETS[arguments.run_type]
    if arguments.preset not in presets:
        raise ConfigError(
            f"There is no preset '{arguments.preset}' for {arguments.run_type}: {', '.join(presets)}."
        )
    config = override(presets[arguments.preset], arguments.changes)
    resume = arguments.resume is not None
    if resume:
        if arguments.changes:
            raise ConfigError("--resume goes on with the run's own configuration; it takes no --set.")
        path = Path(arguments.resume) if arguments.resume else last_run(config.results)
        config = from_saved(config, read_checkpoint(checkpoint_of(path))["config"])
    task = low_level_task(config)
    if not resume:
        path = make_run_folder(config.results, dataclasses.asdict(config))
    print(f"{'Going on with' if resume else 'Training into'} {path}")
    weights = fit(task, config, path, resume)
    print(f"Weights: {weights}")
    print(f"Score with them: --ll_model_weights_path {weights} --pristine_img_dir DIR of test_zeroshot.py")
    return 0


if __name__ == "__main__":
    sys.exit(main())
