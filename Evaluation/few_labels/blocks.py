"""Named blocks of a picture's features: what few-label regression sets end to end (method.md part 5).

`high` and `low` are the authors' features of the whole picture. The others are options: `low_patches`
are statistics of the patches that the zero-shot score looks at, those in the middle of the picture weighing
most, `low_inner` those of the network's inner layers, `content` is what a network that learnt to name things
sees in larger patches, and the blocks that end in `_half` look at the picture at half scale.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import nn

from configs import VERSION, Settings
from Evaluation.distance import grid_statistics
from Evaluation.extended.semantic_features import SEMANTIC_PATCH, semantic_features
from Evaluation.features import at_least_smallest, resize, whole_picture_features, with_two_patches
from Evaluation.grepq import Encoders, Say, load_encoders
from Evaluation.patches import CENTRE_DEVIATION, overlapping_features
from models.attention_pool import Positions
from models.high_level import SMALLEST_PICTURE
from models.low_level import FEATURES, INNER_FEATURES, InnerFeatures
from models.semantic import LAST_FEATURES, SemanticEncoder
from models.weights.semantic import load_semantic
from utils.errors import UserError

# In the order in which they are set end to end; the first two as the authors do.
BLOCKS = (
    "high", "low", "low_patches", "low_inner", "content",
    "high_half", "low_half", "low_patches_half", "low_inner_half",
)  # fmt: skip
# What `--features` takes besides the names of blocks.
GROUPS = {"both": ("high", "low"), "all": BLOCKS}
# What orders pictures best from few labels where CLIP's weights are missing.
WITHOUT_CLIP = "--features low_patches content --standardise"


@dataclass(frozen=True)
class Block:
    """One block: `compute` maps a picture to features and a note for its status.

    The picture is (3, H, W) in [0, 1], the features (length,), float32 on the CPU.
    `provenance` is all that the features depend on besides the picture.
    """

    name: str
    length: int
    compute: Callable[[torch.Tensor], tuple[torch.Tensor, str]]
    provenance: Mapping[str, Any]


def add_feature_arguments(parser: argparse.ArgumentParser) -> None:
    """The argument that `load_blocks` reads besides those of `add_encoder_arguments`."""
    parser.add_argument(
        "--features", nargs="+", metavar="BLOCK",
        help=f"both (the authors': high then low), all, or some of {', '.join(BLOCKS)}; default: both, "
        "and low where CLIP's weights are missing",
    )  # fmt: skip


def load_blocks(
    args: argparse.Namespace, say: Say, positions: Positions | None = None
) -> tuple[Encoders, list[Block]]:
    """The encoders and blocks that --features and the arguments of `add_encoder_arguments` ask for.

    Args:
        args: the parsed arguments.
        say: receives a sentence on the branches in use, and one on better features where they were not named.
        positions: positional embedding of CLIP's attention pool; None: the default.

    Raises:
        UserError: a block is unknown, or belongs to the branch that --branch leaves out.
        ValueError: device or weights cannot be used; the message says what to do.
    """
    asked = None if args.features is None else _expanded(args.features)
    branch = args.branch
    if asked is not None and branch == "available" and "all" not in args.features:
        sides = {_branch(name) for name in asked}
        branch = "both" if len(sides) == 2 else sides.pop()
    settings = Settings(positions=positions or Settings.positions)
    encoders = load_encoders(argparse.Namespace(**{**vars(args), "branch": branch}), settings, say)
    there = [name for name in BLOCKS if getattr(encoders, _branch(name)) is not None]
    names = [name for name in there if name in (asked or GROUPS["both"])]
    absent = [] if asked is None or "all" in args.features else [n for n in asked if n not in there]
    if absent or not names:
        raise UserError(
            f"--features {' '.join(args.features or ())}: {', '.join(absent) or 'these'} cannot be had with "
            f"--branch {args.branch}; there are {', '.join(there)}."
        )
    if asked is None and encoders.high is None:
        say(f"Features: low, as the authors'. Better without CLIP: {WITHOUT_CLIP}.")
    if "content" in names:
        encoders = replace(encoders, content=load_semantic(device=encoders.device))
    if not any(name.startswith("low") for name in names):
        encoders = replace(encoders, low=None)  # content goes with it and does not use it
    return encoders, make_blocks(encoders, names, settings)


def make_blocks(encoders: Encoders, names: Sequence[str], settings: Settings) -> list[Block]:
    """The blocks of these names whose encoders are there, in the order of `BLOCKS`."""
    precision, checksums = encoders.precision, encoders.checksums()
    common = {"precision": str(precision).removeprefix("torch."), "version": VERSION}
    blocks = []
    for name in (name for name in BLOCKS if name in names):
        kind, half = name.removesuffix("_half"), name.endswith("_half")
        if kind == "high" and encoders.high is not None:
            high = encoders.high.encoder
            files = {key: checksums[key] for key in ("high_level_sha256", "clip_sha256")}
            depends = {**files, "positions": high.positions, **common}
            compute = partial(_whole, encoder=high, precision=precision, half=half)
            blocks.append(Block(name, high.features, compute, depends))
        elif kind == "content" and encoders.content is not None:
            depends = {
                "content_sha256": checksums["content_sha256"],
                "content_patch_size": str(SEMANTIC_PATCH),
                "centre_deviation": str(CENTRE_DEVIATION),
                **common,
            }
            encoder = encoders.content.encoder
            compute = partial(_content, encoder=encoder, precision=precision, settings=settings)
            blocks.append(Block(name, LAST_FEATURES, compute, depends))
        elif kind == "low" and encoders.low is not None:
            depends = {"low_level_sha256": checksums["low_level_sha256"], **common}
            compute = partial(_whole, encoder=encoders.low.model, precision=precision, half=half)
            blocks.append(Block(name, FEATURES, compute, depends))
        elif kind in ("low_patches", "low_inner") and encoders.low is not None:
            low, inner = encoders.low.model, kind == "low_inner"
            depends = {
                "low_level_sha256": checksums["low_level_sha256"],
                "patch_size": str(settings.patch_size),
                "centre_deviation": str(CENTRE_DEVIATION),
                **common,
            }
            compute = partial(
                _patches, encoder=InnerFeatures(low) if inner else low, precision=precision, half=half,
                settings=settings,
            )  # fmt: skip
            blocks.append(Block(name, 2 * (INNER_FEATURES if inner else FEATURES), compute, depends))
    return blocks


def halved(picture: torch.Tensor, least: int) -> tuple[torch.Tensor, str]:
    """The picture (3, H, W) at half its size, antialiased, and a note for its status.

    Where half the short side were under `least` it is shrunk to `least`, and not at all where it has no more.
    """
    height, width = picture.shape[-2:]
    scale = max(0.5, min(1.0, least / min(height, width)))
    half = (max(1, round(height * scale)), max(1, round(width * scale)))
    if scale == 0.5:
        return resize(picture, *half), ""
    note = f", half scale held at {half[1]}x{half[0]}"
    return (picture if half == (height, width) else resize(picture, *half)), note


def _whole(
    picture: torch.Tensor, encoder: nn.Module, precision: torch.dtype, half: bool
) -> tuple[torch.Tensor, str]:
    """Features of the whole picture in one pass."""
    note = ""
    if half:
        picture, note = halved(picture, SMALLEST_PICTURE)
    picture, enlarged = at_least_smallest(picture)
    return whole_picture_features(encoder, picture, precision), note + enlarged


def _patches(
    picture: torch.Tensor, encoder: nn.Module, precision: torch.dtype, half: bool, settings: Settings
) -> tuple[torch.Tensor, str]:
    """Mean, then standard deviation, of the F features of patches that overlap by half: (2 F,)."""
    note = ""
    if half:
        picture, note = halved(picture, math.ceil(settings.enlarged_short_side * settings.patch_size))
    picture, enlarged = with_two_patches(picture, settings)
    features = overlapping_features(picture, encoder, settings, precision)
    return mean_and_deviation(features), note + enlarged


def mean_and_deviation(features: torch.Tensor) -> torch.Tensor:
    """Mean, then standard deviation (2 F,), float32, of a picture's `overlapping_features`."""
    measured = grid_statistics(features, CENTRE_DEVIATION)
    return torch.cat([measured.mean, measured.covariance.diagonal().sqrt()]).float()


def _content(
    picture: torch.Tensor, encoder: SemanticEncoder, precision: torch.dtype, settings: Settings
) -> tuple[torch.Tensor, str]:
    """What the picture shows: the last of the content encoder's features."""
    features, note = semantic_features(picture, encoder, settings, precision)
    return features[-LAST_FEATURES:].float(), note


def _branch(name: str) -> str:
    """The branch that a block belongs to: content goes with low, because neither needs CLIP."""
    return "high" if name.startswith("high") else "low"


def _expanded(asked: Sequence[str]) -> list[str]:
    names = [name for word in asked for name in GROUPS.get(word, (word,))]
    for name in names:
        if name not in BLOCKS:
            raise UserError(f"--features {name}: there are {', '.join([*GROUPS, *BLOCKS])}.")
    return names
