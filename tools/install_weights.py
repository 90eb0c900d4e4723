"""Make trained weights the default: float16, with their own pristine statistics and their own score."""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from configs import Settings
from Evaluation.extended.calibration import calibrate, fit_chance_of_distortion, measure, trained_on_targets
from Evaluation.extended.score import PAPER, LowLevelScore, without_score
from Evaluation.grepq import Say
from Evaluation.pristine import pristine_of_folder
from Evaluation.pristine_files import Pristine, statistics_beside, write_statistics
from Evaluation.zeroshot import LowLevelBranch
from models.weights.files import file_sha256, save_tensors
from models.weights.low_level import DEFAULT_LOW_LEVEL, LowLevelWeights, load_low_level
from models.weights.semantic import load_semantic
from utils.cli import CommandLine


def prepare(
    trained: LowLevelWeights, photographs: Path, short_sides: Sequence[int], target: Path, say: Say
) -> tuple[Pristine, LowLevelScore]:
    """Write rounded weights that ask for a score of their own to `target`, their statistics beside it.

    The authors' weights keep the paper's score.

    Raises:
        ValueError: photographs or weights cannot be used; the message says why.
    """
    settings = Settings()
    # Statistics and score are those of the rounded weights.
    metadata = without_score(trained.metadata)
    save_tensors(trained.model, target, metadata, torch.float16)
    weights = load_low_level(target)
    pristine = pristine_of_folder(weights, settings, photographs, None, say, short_sides)
    score = PAPER
    if "configuration" in trained.metadata:  # the authors' have none
        content = load_semantic()
        branch = LowLevelBranch(weights.model, pristine.statistics, settings, content=content.encoder)
        paths = [photographs / name for name in pristine.photographs]
        taught = trained_on_targets(trained.metadata)
        regression = fit_chance_of_distortion(paths, content.encoder, settings)
        score = calibrate(measure(paths, branch), regression, content.sha256, taught)
        save_tensors(weights.model, target, {**metadata, **score.metadata()}, torch.float16)
    # The score is part of the file, so the checksum that the statistics carry is known only now.
    pristine = dataclasses.replace(pristine, weights_sha256=file_sha256(target))
    write_statistics(statistics_beside(target), pristine)
    return pristine, score


def main() -> int:
    """Exit status: 0 installed, 2 bad input, 130 interrupted."""
    parser = CommandLine(__doc__)
    add = parser.add_argument
    add("--ll_model_weights_path", type=Path, required=True, help="final.safetensors of a run")
    add("--pristine_img_dir", type=Path, required=True, help="sharp, undistorted photographs")
    add("--short_sides", type=int, nargs="+", default=(0,), metavar="PIXELS",
        help="sizes of the photographs that patches are taken of; 0, the default, is their own")  # fmt: skip
    add("--output", type=Path, default=DEFAULT_LOW_LEVEL, help="default: %(default)s")
    args = parser.parse_args()
    say = partial(print, file=sys.stderr)
    try:
        trained = load_low_level(args.ll_model_weights_path)
        with tempfile.TemporaryDirectory(dir=args.output.parent) as folder:
            # Both take their places only when both are there.
            target = Path(folder) / args.output.name
            pristine, score = prepare(trained, args.pristine_img_dir, args.short_sides, target, say)
            target.replace(args.output)
            statistics_beside(target).replace(statistics_beside(args.output))
    except (ValueError, OSError) as error:
        say(f"{Path(__file__).name}: {error}")
        return 2
    except KeyboardInterrupt:
        say("Interrupted; the default is what it was.")
        return 130
    print(f"{args.output}: sha256 {pristine.weights_sha256}")
    print(f"{statistics_beside(args.output)}: {pristine.statistics.count} patches")
    print(f"Score of: {score.formula() or 'distance'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
