"""Train an encoder without human scores: python train.py --set data=DIR."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from configs import TRAINING_PRESETS, TRY_OUT, Training
from utils.cli import add_set, command, make_parser, say
from utils.config_fields import from_saved, override
from utils.errors import UserError

SAMPLES = Path(__file__).resolve().parent / "samples"


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 trained, 1 stopped by a loss that is not finite, 2 bad input, 130 interrupted."""
    parser = make_parser(__doc__, __file__)
    add = parser.add_argument
    add("--run_type", default="ll_model_train", choices=TRAINING_PRESETS,
        help="which encoder: ll low level, hl high level (CLIP)")  # fmt: skip
    names = sorted({name for presets in TRAINING_PRESETS.values() for name in presets})
    add("--preset", default="default", help=f"settings to begin with: {', '.join(names)}")
    add("--resume", nargs="?", const="", metavar="RUN",
        help="go on with a run exactly where it was; without a name the newest")  # fmt: skip
    add_set(parser, "LowLevelTraining or HighLevelTraining")
    args = parser.parse_args(argv)
    presets = TRAINING_PRESETS[args.run_type]
    if args.preset not in presets:
        raise UserError(f"There is no preset '{args.preset}' for {args.run_type}: {', '.join(presets)}.")
    config = override(presets[args.preset], args.changes)
    if args.resume is not None and (args.changes or args.preset != "default"):
        raise UserError("--resume goes on with the run's own configuration: no --set, no --preset.")
    nothing_asked = not args.changes and args.preset == "default" and args.run_type == "ll_model_train"
    trying_out = nothing_asked and args.resume is None and not Path(config.data[0]).exists()
    try:
        return run(prepare_try_out() if trying_out else config, args.resume, trying_out)
    except ArithmeticError as error:
        from training.loop import LossError

        if not isinstance(error, LossError):
            raise  # a division by zero is a bug
        say(str(error))
        return 1
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        from models.device import out_of_memory

        if not out_of_memory(error) and "DataLoader worker" not in reason:
            raise
        raise UserError(f"{reason} Try a smaller batch_size= or workers=0.") from None


def prepare_try_out() -> Training:
    """Say what is trained on where there is no set, and make distorted versions of the sample images once."""
    print(
        "There is no training set at data/distorted, so this is a short run on distorted versions of "
        "samples/, which are part of this repository; images of your own: python -m "
        "tools.synthesize_distortions --photos DIR --output data/distorted, or --set data=DIR."
    )
    # Only now: --help does not wait for torch.
    from datasets.distorted.synthesis import synthesize

    originals = [SAMPLES / f"{name}.jpg" for name in ("chelsea", "coffee", "rocket")]
    synthesize(originals, Path(TRY_OUT.training.data[0]), TRY_OUT.synthesis, workers=1)
    return TRY_OUT.training


def run(config: Any, resume: str | None, trying_out: bool) -> int:
    """Start a run, or go on with the one called `resume` ("" is the newest of its kind)."""
    from models.ranks import from_first, is_first, leave_processes
    from training.checkpoint import read_checkpoint
    from training.high_level import high_level_task
    from training.loop import fit
    from training.low_level import low_level_task
    from training.run_folder import checkpoint_of, last_run, make_run_folder

    tasks: dict[str, Any] = {"ll_model_train": low_level_task, "hl_model_train": high_level_task}
    try:
        if resume is None:
            task = tasks[config.run_type](config)
            path = from_first(lambda: make_run_folder(config.results, dataclasses.asdict(config)))
        else:
            path = Path(resume) if resume else last_run(config.results)
            saved = read_checkpoint(checkpoint_of(path))["config"]
            config = from_saved(TRAINING_PRESETS[saved["run_type"]]["default"], saved)
            task = tasks[config.run_type](config)
        tell = print if is_first() else (lambda _: None)
        tell(f"{'Training into' if resume is None else 'Going on with'} {path}")
        try:
            weights = fit(task, config, path, resume is not None)
        except KeyboardInterrupt:
            kept = checkpoint_of(path).is_file()
            way = f"go on with: python train.py --resume {path}" if kept else "there is no checkpoint yet."
            raise KeyboardInterrupt(way) from None
        tell(f"Weights: {weights}\n{task.scoring.format(weights)}")
        if trying_out:
            tell(
                "Such weights are for trying out only: three images teach little. For real ones:\n"
                "python -m tools.synthesize_distortions --photos DIR --output data/distorted\n"
                "python train.py"
            )
        return 0
    finally:
        leave_processes()


if __name__ == "__main__":
    sys.exit(main())
