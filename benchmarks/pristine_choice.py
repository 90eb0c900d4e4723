"""What the choice of pristine photographs, scales and thresholds does to the low-level score.

python -m benchmarks.pristine_choice --clive ChallengeDB_release --synthetic data/synthetic
    --pristine_img_dir photos --ll_model_weights_path low_level.safetensors

Every picture is encoded once; then its score is computed with each choice, and with photographs drawn
with replacement (bootstrap), which tells how far the score hangs on which photographs there were.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.sweep_figures import Sets, load_sets
from utils.cli import CommandLine
from configs import ZeroShot
from datasets.decoder import list_images, read_image
from datasets.read_ahead import read_ahead
from Evaluation.extended.semantic_features import content_features
from Evaluation.distance import FeatureStatistics, distance, grid_statistics, statistics
from Evaluation.features import as_the_set_resizes, with_two_patches
from Evaluation.extended.score import LowLevelScore, content_of_score, score_of_weights
from Evaluation.metrics import srcc
from Evaluation.patches import (
    colorfulness,
    extract_patches,
    overlapping_features,
    patch_features,
    pristine_places,
    sharpness,
)
from Evaluation.pristine import at_short_sides
from models.weights.semantic import ContentWeights
from models.device import choose_device, choose_precision
from models.weights.low_level import LowLevelWeights, find_low_level, load_low_level

DRAWS = 20


@dataclass(frozen=True)
class Choice:
    """Sizes of the photographs (0 is their own) and the two thresholds, shares of each one's largest."""

    short_sides: tuple[int, ...]
    sharpness: float = ZeroShot.sharpness
    colorfulness: float = ZeroShot.colorfulness


OWN, SHIPPED = Choice((0,)), Choice((0, 704, 600, 512))
CHOICES = (
    OWN,
    Choice((704,)),
    Choice((384,)),
    Choice((0, 704, 512, 384)),
    SHIPPED,
    Choice(SHIPPED.short_sides, 0.5, 0.5),
    Choice(SHIPPED.short_sides, 0.0, 0.0),
    Choice(SHIPPED.short_sides, 0.9, 0.8),
)
# Every size that a choice asks for; a photograph's own comes first.
SHORT_SIDES = tuple(dict.fromkeys(side for choice in CHOICES for side in choice.short_sides))


@dataclass(frozen=True)
class Candidates:
    """All patches of one photograph at one size: features (n, F), sharpness and colourfulness (n,)."""

    short_side: int
    features: torch.Tensor
    sharpness: torch.Tensor
    colorfulness: torch.Tensor

    def chosen(self, choice: Choice) -> torch.Tensor:
        """Features of the pristine ones."""
        measured = self.sharpness, self.colorfulness
        return self.features[pristine_places(*measured, choice.sharpness, choice.colorfulness)]


@dataclass(frozen=True)
class Tested:
    """Statistics of each picture's patches, what else its score looks at, and its opinion or label."""

    statistics: tuple[FeatureStatistics, ...]
    content: tuple[torch.Tensor | None, ...]
    sets: Sets

    def scores(self, pristine: FeatureStatistics, score: LowLevelScore) -> np.ndarray:
        """Higher is better, (pictures,)."""
        distances = [distance(pristine, one, ZeroShot.regularisation) for one in self.statistics]
        measured = zip(distances, self.statistics, self.content, strict=True)
        return -np.array([score.total(d, one.mean, content) for d, one, content in measured])

    def srccs(self, scores: np.ndarray) -> tuple[float, float]:
        """SRCC on CLIVE and on the synthetic set."""
        count, mos = len(self.sets.clive), self.sets.mos
        return srcc(scores[:count], mos[:count]), srcc(scores[count:], mos[count:])


def main() -> int:
    """Print the table; exit status 2 is bad input."""
    parser = CommandLine(__doc__)
    add = parser.add_argument
    add("--clive", type=Path, required=True, metavar="DIR", help="CLIVE; a part of it will do")
    add("--synthetic", type=Path, required=True, metavar="DIR", help="what make_synthetic_set.py wrote")
    add("--pristine_img_dir", type=Path, required=True, metavar="DIR", help="sharp photographs")
    add("--ll_model_weights_path", type=Path, help="default: the shipped weights")
    add("--device", default="auto", help="auto, cpu, cuda")
    add("--precision", choices=("float32", "bfloat16"), default="float32", help="of the features")
    args = parser.parse_args()
    try:
        weights = load_low_level(args.ll_model_weights_path or find_low_level())
        device = choose_device(args.device)
        weights.model.to(device)
        precision = choose_precision(args.precision, device)
        score = score_of_weights(weights.metadata, weights.path)
        paths = list_images(args.pristine_img_dir)
        progress = tqdm(paths, desc="Pristine photographs", disable=None)
        photographs = [found for path in progress if (found := _candidates(path, weights, precision))]
        content = content_of_score(score, weights.path, device)
        tested = _test(load_sets(args.clive, args.synthetic), weights, content, precision, score)
        _compare(photographs, tested, score)
    except (ValueError, OSError) as error:
        print(f"pristine_choice: {error}", file=sys.stderr)
        return 2
    return 0


def _compare(photographs: Sequence[Sequence[Candidates]], tested: Tested, score: LowLevelScore) -> None:
    """Print a row for each choice."""
    print("| short sides | sharpness | colourfulness | patches | CLIVE | synthetic | SRCC to the first |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    first = None
    for choice in CHOICES:
        patches = [_pristine(photograph, choice) for photograph in photographs]
        scores = tested.scores(statistics(torch.cat(patches)), score)
        first = scores if first is None else first
        clive, synthetic = tested.srccs(scores)
        sides = ", ".join(str(side or "own") for side in choice.short_sides)
        print(f"| {sides} | {choice.sharpness:g} | {choice.colorfulness:g} | {sum(map(len, patches))} "
              f"| {clive:.3f} | {synthetic:.3f} | {srcc(scores, first):.3f} |", flush=True)  # fmt: skip
        if choice in (OWN, SHIPPED):
            found = _bootstrap(patches, tested, score, scores)
            print(f"| ... {DRAWS} draws of the photographs | | | | {found[0]} | {found[1]} | {found[2]} |",
                  flush=True)  # fmt: skip


def _candidates(path: Path, weights: LowLevelWeights, precision: torch.dtype) -> list[Candidates]:
    settings, found = ZeroShot(), []
    for picture in at_short_sides(read_image(path), SHORT_SIDES):
        if min(picture.shape[-2:]) >= settings.patch_size:
            patches = extract_patches(picture, settings.patch_size, settings.patch_size)
            features = patch_features(weights.model, patches[None], settings.chunk, precision)
            found.append(
                Candidates(min(picture.shape[-2:]), features, sharpness(patches), colorfulness(patches))
            )
    return found


def _pristine(photograph: Sequence[Candidates], choice: Choice) -> torch.Tensor:
    """The pristine patches' features of a photograph; its own size comes first."""
    own = photograph[0].short_side
    wanted = {min(side or own, own) for side in choice.short_sides}
    return torch.cat([one.chosen(choice) for one in photograph if one.short_side in wanted])


def _test(
    sets: Sets, weights: LowLevelWeights, content: ContentWeights | None, precision: torch.dtype,
    score: LowLevelScore,
) -> Tested:  # fmt: skip
    settings, measured, contents = ZeroShot(), [], []
    pictures = read_ahead([image.path for image in sets.images])
    read = zip(sets.images, pictures, strict=True)
    for image, picture in tqdm(read, total=len(sets.images), desc="Pictures", disable=None):
        if isinstance(picture, str):
            raise ValueError(f"{image.path}: {picture}")
        picture = with_two_patches(as_the_set_resizes(image, picture)[0], settings)[0]
        features = overlapping_features(picture, weights.model, settings, precision)
        measured.append(grid_statistics(features, score.centre_deviation))
        if content:
            contents.append(content_features(picture, content.encoder, settings, precision)[0])
    return Tested(tuple(measured), tuple(contents) or (None,) * len(measured), sets)


def _bootstrap(
    patches: Sequence[torch.Tensor], tested: Tested, score: LowLevelScore, scores: np.ndarray
) -> list[str]:
    """Mean and deviation over the draws of SRCC on CLIVE, on the synthetic set, and to `scores`."""
    generator = np.random.default_rng(0)
    rows = []
    for _ in range(DRAWS):
        drawn = generator.integers(len(patches), size=len(patches))
        of_draw = tested.scores(statistics(torch.cat([patches[place] for place in drawn])), score)
        rows.append((*tested.srccs(of_draw), srcc(of_draw, scores)))
    return [
        f"{mean:.3f} ± {deviation:.3f}"
        for mean, deviation in zip(np.mean(rows, 0), np.std(rows, 0), strict=True)
    ]


if __name__ == "__main__":
    sys.exit(main())
