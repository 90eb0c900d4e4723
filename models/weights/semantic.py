"""Weights of the semantic encoder: our file, and how it is made of EfficientNet-Lite0's published one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils import fuse_conv_bn_weights

from models.semantic import SemanticEncoder
from models.weights.files import (
    FOLDER,
    load_strictly,
    read_safetensors,
)
from utils.errors import UserError
from utils.files import file_sha256

SEMANTIC_WEIGHTS = FOLDER / "semantic.safetensors"
# Of the published network's batch normalisations.
EPSILON = 1e-3
# Our layers by the published convolution and the normalisation after it.
_PUBLISHED = {
    "stem": ("_conv_stem", "_bn0"),
    "expand": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
}


@dataclass(frozen=True)
class SemanticWeights:
    """An encoder in evaluation mode with the file it came from and the SHA-256 of that file's bytes."""

    encoder: SemanticEncoder
    path: Path
    sha256: str


def load_semantic(path: Path = SEMANTIC_WEIGHTS, device: torch.device | str = "cpu") -> SemanticWeights:
    """Read the semantic encoder, onto `device`.

    Raises:
        UserError: missing or damaged file, or a tensor that is missing, unknown or of another shape.
    """
    if not path.is_file():
        raise UserError(f"{path}: the semantic weights are missing; restore them from the repository.")
    tensors, _ = read_safetensors(path)
    with torch.device("meta"):
        encoder = SemanticEncoder()
    load_strictly(encoder, tensors, path, "semantic encoder")
    return SemanticWeights(encoder.eval().to(device), path, file_sha256(path))


def from_published(tensors: Mapping[str, torch.Tensor], path: str | Path) -> SemanticEncoder:
    """The encoder of the published state dict, its batch normalisations folded into the convolutions.

    Raises `UserError` (naming `path`, where they are from) where a tensor is missing.
    """
    encoder, ours = SemanticEncoder(), {}
    for name, layer in encoder.named_modules():
        if not isinstance(layer, nn.Conv2d):
            continue
        place, _, kind = name.rpartition(".")
        convolution, norm = (f"{place and f'_{place}.'}{part}" for part in _PUBLISHED[kind])
        try:
            weight, bias = fuse_conv_bn_weights(
                tensors[f"{convolution}.weight"], None, tensors[f"{norm}.running_mean"],
                tensors[f"{norm}.running_var"], EPSILON, tensors[f"{norm}.weight"], tensors[f"{norm}.bias"],
            )  # fmt: skip
        except KeyError as error:
            raise UserError(f"{path}: tensor {error} of EfficientNet-Lite0 is missing.") from None
        ours[f"{name}.weight"], ours[f"{name}.bias"] = weight, bias
    load_strictly(encoder, ours, path, "semantic encoder")
    return encoder.eval()
