"""Named blocks of an image's features: what few-label regression sets end to end (method.md part 5).

`high` and `low` are the authors': features of the whole image. Beyond the paper, of what the extended score
looks at: `low_patches`, mean and deviation over its tiles, those in the middle of the image weighing most;
`low_inner`, likewise of the stages of the network; `semantic`, the features of the semantic encoder;
`zeroshot`, what is known without any label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import torch

from configs import FEATURE_BLOCKS, FEATURE_GROUPS, Settings
from datasets import decoder
from Evaluation import distance, image_sizes, patches
from Evaluation.encoders import Say
from Evaluation.extended import centre, detail, score, semantic_features, tiles, view
from Evaluation.grepq import GRepQ
from Evaluation.zeroshot import Measurement, Part, Unmeasured
from models import attention_pool, device, high_level, low_level, semantic
from utils.errors import UserError
from utils.files import source_sha256

# What orders images best from few labels where CLIP's weights are missing.
WITHOUT_CLIP = "--features low_patches semantic zeroshot --standardise --alpha 100 1000 10000"
# A ridge hardly penalises what it is given a hundred times: a hundredth of the square for the same slope.
ZEROSHOT_COPIES = 100
# What computes a block besides the weights.
_SHARED: tuple[ModuleType, ...] = (decoder, device, image_sizes, patches)
_MODULES: Mapping[str, tuple[ModuleType, ...]] = {
    "high": (*_SHARED, high_level, attention_pool),
    "low": (*_SHARED, low_level),
    "low_patches": (*_SHARED, low_level, centre, tiles, view),
    "low_inner": (*_SHARED, low_level, centre, tiles, view),
    "semantic": (*_SHARED, semantic, semantic_features, centre, view),
    "zeroshot": (
        *_SHARED,
        low_level,
        semantic,
        semantic_features,
        centre,
        tiles,
        view,
        detail,
        score,
        distance,
    ),
}


@dataclass(frozen=True)
class Block:
    """One block: `of` maps what was measured of an image to features (length,), float32.

    `parts` have to be measured. `provenance` is all that the features depend on besides the image, `source`
    the SHA-256 of the modules that compute them.
    """

    name: str
    length: int
    parts: tuple[Part, ...]
    of: Callable[[Measurement], torch.Tensor]
    provenance: Mapping[str, Any]
    source: str


def choose_blocks(
    settings: Settings, asked: Sequence[str], say: Say = lambda sentence: None
) -> tuple[GRepQ, tuple[Block, ...]]:
    """A model and the blocks that are asked for; weights that none of them needs are not read.

    Args:
        settings: of the model.
        asked: as `FewLabels.features`.
        say: receives which branches there are, and what gives better features, where no blocks were named.

    Raises:
        UserError: a block belongs to the branch that there is not, or weights cannot be used.
    """
    names = {name for word in asked or ("both",) for name in FEATURE_GROUPS.get(word, (word,))}
    named = bool(asked) and "all" not in asked
    if named and settings.branch == "available":
        high = "high" in names
        low = any(name.startswith("low") or name == "zeroshot" for name in names)
        settings = replace(settings, branch="both" if high and low else "high" if high else "low")
    model = GRepQ(settings, _without_branches(say) if named else say)
    there = [name for name in FEATURE_BLOCKS if _is_there(name, model)]
    absent = [name for name in FEATURE_BLOCKS if name in names and name not in there]
    if absent and (named or len(absent) == len(names)):
        raise UserError(
            f"--features {' '.join(asked)}: {', '.join(absent)} cannot be had with --branch "
            f"{settings.branch}; there are {', '.join(there)}."
        )
    if not asked and not model.encoders.has_high:
        say(f"Features: low, as the authors'. Better without CLIP: {WITHOUT_CLIP}.")
    return model, make_blocks(model, names)


def make_blocks(model: GRepQ, names: Iterable[str]) -> tuple[Block, ...]:
    """The blocks of these names whose encoders are there, in the order of `FEATURE_BLOCKS`."""
    wanted = set(names)
    return tuple(_block(model, name) for name in FEATURE_BLOCKS if name in wanted and _is_there(name, model))


def provenance(blocks: Iterable[Block]) -> dict[str, Any]:
    """What the features of blocks set end to end depend on besides their image and the source."""
    blocks = tuple(blocks)
    depends = {key: value for block in blocks for key, value in block.provenance.items()}
    return {**depends, "columns": [[block.name, block.length] for block in blocks]}


def features_of(image: Measurement | Unmeasured, blocks: Iterable[Block]) -> np.ndarray:
    """The blocks of an image set end to end (F,), float32.

    Raises:
        UserError: it could not be measured, or what was measured is of no use.
    """
    if isinstance(image, Unmeasured):
        raise UserError(image.reason)
    return torch.cat([block.of(image) for block in blocks]).numpy()


def mean_and_deviation(features: torch.Tensor) -> torch.Tensor:
    """Mean, then standard deviation (2 F,), float32, of tiles' features (rows, columns, F)."""
    measured, _ = tiles.tile_statistics(features)
    return torch.cat([measured.mean, measured.covariance.diagonal().sqrt()]).float()


def _block(model: GRepQ, name: str) -> Block:
    encoders, settings = model.encoders, model.settings
    source = source_sha256(__file__, *(str(module.__file__) for module in _MODULES[name]))
    depends: dict[str, Any] = {"precision": settings.precision}
    if name == "high":
        high = encoders.high
        depends |= {"high_level_sha256": high.sha256, "clip_sha256": high.clip_sha256}
        depends |= {"positions": settings.positions}
        return Block(name, high.encoder.features, ("high",), lambda one: one.part("high"), depends, source)
    if name == "low":
        depends |= {"low_level_sha256": encoders.low.sha256}
        return Block(name, low_level.FEATURES, ("low",), lambda one: one.part("low"), depends, source)
    depends |= {"centre_deviation": centre.CENTRE_DEVIATION, "view": settings.view}
    depends |= {"view_pixels": view.MOST_PIXELS, "patch_size": settings.patch_size}
    if name == "semantic":
        depends |= {"semantic_sha256": encoders.semantic.sha256}
        length = semantic.SEMANTIC_FEATURES
        return Block(name, length, ("semantic",), lambda one: one.part("semantic").float(), depends, source)
    depends |= {"low_level_sha256": encoders.low.sha256, "most_tiles": tiles.MOST_TILES}
    if name == "zeroshot":
        depends |= {"pristine_sha256": model.pristine.patches_sha256}
        for setting in ("score", "sharpness", "colorfulness", "regularisation"):
            depends[setting] = getattr(settings, setting)
        if model.extended is not None:
            depends |= {"semantic_sha256": model.extended.semantic_sha256}
        return Block(name, ZEROSHOT_COPIES, model.low_parts, partial(_copies, model), depends, source)
    part: Part = "inner" if name == "low_inner" else "tiles"
    length = 2 * (low_level.INNER_FEATURES if part == "inner" else low_level.FEATURES)
    return Block(name, length, (part,), lambda one: mean_and_deviation(one.part(part)), depends, source)


def _copies(model: GRepQ, image: Measurement) -> torch.Tensor:
    """The number that the zero-shot Q_low is taken of, (ZEROSHOT_COPIES,)."""
    return model.distance(image).float().expand(ZEROSHOT_COPIES)


def _is_there(name: str, model: GRepQ) -> bool:
    """Whether the model has a block's encoder; the semantic one belongs to no branch."""
    if name == "high":
        return model.encoders.has_high
    return model.encoders.has_low or name == "semantic"


def _without_branches(say: Say) -> Say:
    """Who named the blocks is not told which branches there are."""
    return lambda sentence: None if sentence.startswith("Branch:") else say(sentence)
