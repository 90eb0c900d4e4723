"""Features of a rated set's pictures beside their opinions: what a regression is trained and tested on."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.rated.sets import RatedImage, RatedSet, load_scores_table, shortfall
from Evaluation.few_labels.protocol.blocks import Block
from Evaluation.few_labels.protocol.feature_table import FeatureRow, Store, file_key, table_of_features
from Evaluation.grepq import Say
from Evaluation.protocol import load_pictures
from utils.errors import UserError

# Features that were computed once; a file a set, block and weights.
CACHE = Path(__file__).resolve().parents[2] / "Results" / "features"
# Pictures without features that are named one by one.
_MOST_NAMED = 10


@dataclass(frozen=True)
class LabelledFeatures:
    """The pictures that have features (N, F), float32, and opinions (N,), float64; and those without."""

    images: tuple[RatedImage, ...]
    features: np.ndarray
    mos: np.ndarray
    failed: tuple[FeatureRow, ...]

    @property
    def names(self) -> list[str]:
        """Of the pictures, in order."""
        return [image.name for image in self.images]


def load_rated(dataset: str | None, table: str | None, folder: str | None, say: Say) -> RatedSet:
    """The pictures that --dataset, --scores and --img_dir name, with what is to be said of them said.

    Raises:
        UserError: they name no scores.
        UserError: the set or table cannot be used.
    """
    if dataset is None and table is None:
        raise UserError("There are no scores: name a set with --dataset or a table with --scores.")
    rated = load_scores_table(table, folder) if table and not dataset else load_pictures(
        None, None, dataset, table, folder
    )  # fmt: skip
    for sentence in (*rated.remarks, *shortfall(rated)):
        say(sentence)
    return rated


def labelled_features(
    rated: RatedSet, blocks: Sequence[Block], cache: Path | None, say: Say
) -> LabelledFeatures:
    """Features of all pictures of a set, those that were computed before read from `cache`.

    Args:
        rated: pictures with opinions.
        blocks: set end to end.
        cache: folder of earlier features, made where it is missing; None keeps nothing.
        say: receives the names of pictures without features.

    Raises:
        KeyboardInterrupt: interrupted; what was done is kept, and the message says so.
        UserError: no picture has features.
        UserError: the cache cannot be written.
    """
    images = [image for image in rated.images if image.mos is not None]
    if cache is not None:
        cache.mkdir(parents=True, exist_ok=True)
    stores = [Store((block,), cache and cache_file(cache, rated, block)) for block in blocks]
    rows, complete = table_of_features(images, stores)
    if not complete:
        raise KeyboardInterrupt(f"{len(rows)} of {len(images)} pictures are kept; the same command goes on.")
    there = [row.status.startswith("ok") for row in rows]
    failed = [row for row, ok in zip(rows, there, strict=True) if not ok]
    for row in failed[:_MOST_NAMED]:
        say(f"Without features: {row.image}: {row.status.rstrip('.')}.")
    if len(failed) > _MOST_NAMED:
        say(f"Without features: {len(failed) - _MOST_NAMED} more.")
    kept = tuple(image for image, ok in zip(images, there, strict=True) if ok)
    if not kept:
        raise UserError(f"{rated.name}: none of its {len(images)} pictures can be read.")
    features = np.stack([row.features for row, ok in zip(rows, there, strict=True) if ok])
    return LabelledFeatures(kept, features, np.array([image.mos for image in kept]), tuple(failed))


def cache_file(cache: Path, rated: RatedSet, block: Block) -> Path:
    """Where a block of a set is kept: its name holds a key of the set's place, the weights and settings."""
    places = [str(path.resolve()) for path in (rated.scores, *rated.folders) if path is not None]
    known = json.dumps([rated.name, places, Store((block,), None).provenance], sort_keys=True)
    key = hashlib.sha256(known.encode()).hexdigest()[:12]
    return cache / f"{re.sub(r'[^A-Za-z0-9.-]+', '-', rated.name)}_{block.name}_{key}.h5"


def digests(rated: RatedSet) -> dict[str, str]:
    """What changes when names or opinions of a set do, and when its picture files do."""
    rated_images = [image for image in rated.images if image.mos is not None]
    opinions = json.dumps(sorted((image.name, image.mos) for image in rated_images))
    files = json.dumps(sorted(file_key(image) for image in rated_images))
    return {
        "scores_sha256": hashlib.sha256(opinions.encode()).hexdigest(),
        "pictures_sha256": hashlib.sha256(files.encode()).hexdigest(),
    }
