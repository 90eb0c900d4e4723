"""What a score depends on, put together from names and paths, and one line that states it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from configs import Settings
from datasets.rated.sets import (
    RatedImage,
    RatedSet,
    load_rated_set,
    load_scores_table,
    unrated_folder,
)
from Evaluation.extended.score import PAPER, content_of_score, score_of_weights
from Evaluation.grepq import Encoders, Say, load_encoders
from Evaluation.metrics import Metric, agreement
from Evaluation.pristine import Pristine, find_pristine
from Evaluation.zeroshot import HighLevelBranch, LowLevelBranch, ScoreRow
from utils.errors import UserError


@dataclass(frozen=True)
class Protocol:
    """The branches that score, with the files that they were made from."""

    low: LowLevelBranch | None
    high: HighLevelBranch | None
    settings: Settings
    encoders: Encoders
    pristine: Pristine | None

    @property
    def score_name(self) -> str:
        """The score by which pictures are compared: Q, the sum, where both branches are in use."""
        return "Q_high" if self.low is None else "Q_low" if self.high is None else "Q"

    def line(self, rated: RatedSet, scored: int) -> str:
        """Set, number of pictures, scale, weights, pristine statistics, prompts, precision in one line.

        The low-level score too, where it is not the paper's.
        """
        parts = [
            f"Protocol: {rated.name}, {scored} of {rated.expected or len(rated.images)} images",
            *filter(None, [rated.scale]),
            self.encoders.line(),
        ]
        if self.pristine is not None:
            parts.append(
                f"pristine {self.pristine.source}, {self.pristine.statistics.count} patches; "
                f"patch size {self.settings.patch_size}"
            )
        if self.low is not None and (formula := self.low.score.formula()):
            parts.append(f"score {formula}")
        if self.high is not None:
            prompts = ", ".join(f'"{prompt}"' for prompt in self.settings.prompts)
            parts.append(f"prompts {prompts}; positional embedding {self.settings.positions}")
        precision = str(self.encoders.precision).removeprefix("torch.")
        return "; ".join([*parts, f"{precision} on {self.encoders.device}."])


def load_pictures(
    eval_type: str | None, picture: str | None, dataset: str | None, table: str | None, folder: str | None
) -> RatedSet:
    """What --eval_type, --test_img_path, --dataset, --scores and --img_dir together name.

    Without an `eval_type` it is a single picture where one is named.

    Raises:
        UserError: they name nothing, or two things.
        UserError: the set or table cannot be used.
        UserError: the folder is missing or holds no picture.
    """
    single = eval_type == "zeroshot_single_img" or (eval_type is None and picture is not None)
    if single and not picture:
        raise UserError("--eval_type zeroshot_single_img needs a picture: name it with --test_img_path.")
    if picture and not single:
        raise UserError("--test_img_path goes with --eval_type zeroshot_single_img.")
    if sum(value is not None for value in (picture, dataset, table)) > 1:
        raise UserError("--test_img_path, --dataset and --scores exclude each other.")
    if picture:
        if folder:
            raise UserError("--img_dir does not go with --test_img_path.")
        return RatedSet(picture, (RatedImage(picture, Path(picture)),))
    if dataset:
        if not folder:
            raise UserError(f"--dataset {dataset} needs its folder: name it with --img_dir.")
        return load_rated_set(dataset, folder)
    if table:
        return load_scores_table(table, folder)
    if folder:
        return unrated_folder(folder)
    raise UserError(
        "Nothing to score: name a picture with --test_img_path, a folder with --img_dir, a set with "
        "--dataset and --img_dir, or a table with --scores."
    )


def prepare(args: argparse.Namespace, settings: Settings, say: Say) -> Protocol:
    """Encoders on their device, the pristine statistics that go with them, and the prompts' features.

    Args:
        args: of `add_encoder_arguments`, `pristine_img_dir`: photographs or None (`find_pristine`), and
            `score`: "own" is the low-level score that the weights file asks for, "paper" the paper's.
        settings: of the score.
        say: receives what the user should know.

    Raises:
        ValueError: device, weights or statistics cannot be used; the message says what to do.
    """
    encoders = load_encoders(args, settings, say)
    low = high = pristine = None
    if encoders.low is not None:
        own = args.score == "own"
        score = score_of_weights(encoders.low.metadata, encoders.low.path) if own else PAPER
        folder = None if args.pristine_img_dir is None else Path(args.pristine_img_dir)
        pristine = find_pristine(encoders.low, settings, folder, Path.cwd(), say)
        content = content_of_score(score, encoders.low.path, encoders.device)
        low = LowLevelBranch(
            encoders.low.model, pristine.statistics, settings, encoders.precision, score,
            content.encoder if content else None,
        )  # fmt: skip
        encoders = replace(encoders, content=content)
    if encoders.high is not None:
        high = HighLevelBranch(encoders.high.encoder, encoders.high.text, encoders.precision)
    return Protocol(low, high, settings, encoders, pristine)


def agreement_of_rows(rows: Sequence[ScoreRow]) -> tuple[Metric, ...]:
    """The figures of `metrics.agreement` over the rows that have both a score and an opinion."""
    pairs = [(row.score, row.mos) for row in rows if row.score is not None and row.mos is not None]
    return agreement([score for score, _ in pairs], [mos for _, mos in pairs])
