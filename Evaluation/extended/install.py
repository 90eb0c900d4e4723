"""Weights with their pristine statistics and their extended score, as they are shipped."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from configs import Settings
from Evaluation.encoders import Say
from Evaluation.extended.calibration import make_score
from Evaluation.extended.score import ExtendedScore, without_score
from Evaluation.grepq import GRepQ
from Evaluation.pristine import pristine_of_folder
from Evaluation.pristine_files import Pristine, statistics_beside, write_statistics
from models.weights.files import save_tensors
from models.weights.low_level import load_low_level
from utils.files import file_sha256


def install(
    trained: Path, images: Path, short_sides: Sequence[int], output: Path, settings: Settings, say: Say
) -> tuple[Pristine, ExtendedScore | None]:
    """Write weights rounded to float16 to `output`, with a score of their own, their statistics beside them.

    Both take their places only when both are there. The authors' weights, which tell no configuration, keep
    the paper's score (None).

    Args:
        trained: weights of a run, or the authors'.
        images: folder of pristine ones.
        short_sides: sizes of the images that patches are taken of; 0 is their own.
        output: a .safetensors file, written over where it is there.
        settings: of the score, with the device; `low` is not used.
        say: receives what the user should know.

    Raises:
        UserError: images or weights cannot be used; the message says why.
    """
    weights = load_low_level(trained)
    metadata = without_score(weights.metadata)
    with tempfile.TemporaryDirectory(dir=output.parent) as folder:
        target = Path(folder) / output.name
        # Statistics and score are those of the rounded weights.
        save_tensors(weights.model, target, metadata, torch.float16)
        model = GRepQ(dataclasses.replace(settings, low=str(target)), lambda sentence: None)
        low = model.encoders.low
        pristine = pristine_of_folder(low, settings, images, None, say, short_sides)
        score = None
        if "configuration" in metadata:
            paths = [images / name for name in pristine.images]
            score = make_score(paths, model, pristine.statistics)
            save_tensors(low.model, target, {**metadata, **score.metadata()}, torch.float16)
        # The score is part of the file, so the checksum that the statistics carry is known only now.
        pristine = dataclasses.replace(pristine, weights_sha256=file_sha256(target))
        write_statistics(statistics_beside(target), pristine)
        target.replace(output)
        statistics_beside(target).replace(statistics_beside(output))
    return pristine, score
