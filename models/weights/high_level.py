"""Weights of the high-level branch: CLIP's own and the fine-tuned image encoder (method.md part 6)."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from models.attention_pool import Positions
from models.high_level import HighLevelEncoder
from models.weights.clip import import_clip
from models.weights.files import (
    FOLDER,
    is_state_dict,
    load_strictly,
    read_safetensors,
    read_torch,
    without_wrapper,
)
from utils.errors import UserError
from utils.files import file_sha256

AUTHORS_HIGH_LEVEL = FOLDER / "high_level_model_weights.pth"
# Numbers that OpenAI's archives hold among the weights.
_NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size")


@dataclass(frozen=True)
class HighLevelWeights:
    """An encoder in evaluation mode, the text features of the prompts, and where they came from.

    `text` is (P, 2, F), the good prompt of each pair first. `path` and `sha256` are of the fine-tuned
    image encoder, None where stock CLIP serves.
    """

    encoder: HighLevelEncoder
    text: torch.Tensor
    clip_path: Path
    clip_sha256: str
    path: Path | None
    sha256: str | None
    metadata: Mapping[str, str]


def find_high_level() -> Path | None:
    """The authors' fine-tuned encoder where it was put in place; None where stock CLIP has to serve."""
    return AUTHORS_HIGH_LEVEL if AUTHORS_HIGH_LEVEL.is_file() else None


def load_high_level(
    clip_path: Path, fine_tuned: Path | None, prompts: Sequence[str], positions: Positions
) -> HighLevelWeights:
    """Read CLIP, keep the features of the prompts and the image encoder, and put fine-tuned weights into it.

    Args:
        clip_path: OpenAI's TorchScript archive, a state dict of torch.save, or safetensors.
        fine_tuned: image encoder, the authors' .pth or our safetensors; None keeps CLIP's own.
        prompts: good, bad, good, bad, ...
        positions: of the attention pool.

    Raises:
        UserError: a file is damaged or does not hold these weights, each and no other.
    """
    model = load_clip(clip_path)
    text = text_features(model, prompts)
    encoder = HighLevelEncoder(model.visual, positions)
    del model  # the text encoder is not needed any more
    metadata: Mapping[str, str] = {}
    if fine_tuned is not None:
        tensors, metadata = _read_encoder(fine_tuned)
        load_strictly(encoder.visual, tensors, fine_tuned, "image encoder of this CLIP")
    return HighLevelWeights(
        encoder.eval(), text, clip_path, file_sha256(clip_path), fine_tuned,
        None if fine_tuned is None else file_sha256(fine_tuned), metadata,
    )  # fmt: skip


def load_clip(path: Path) -> Any:
    """The `clip` package's model of these weights, in float32, whatever sizes they have.

    Raises:
        UserError: the file is damaged, or not a CLIP with a ResNet.
    """
    tensors = _read_clip(path)
    if "visual.attnpool.positional_embedding" not in tensors:
        raise UserError(f"{path}: holds no CLIP with a ResNet (RN50, RN101, RN50x4 ...).")
    try:
        model = import_clip().model.build_model(dict(tensors)).float()
    except (KeyError, RuntimeError, ZeroDivisionError, AssertionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: the tensors make no CLIP model ({reason}).") from None
    # The package rounds to half precision on the way; this puts the file's own values in.
    load_strictly(model, tensors, path, "CLIP model")
    return model.eval().requires_grad_(False)


@torch.no_grad()
def text_features(model: Any, prompts: Sequence[str]) -> torch.Tensor:
    """Features (P, 2, F) of P pairs of prompts, not normalised, by a CLIP on the CPU.

    Raises:
        UserError: not pairs, or a prompt longer than CLIP reads.
    """
    if not prompts or len(prompts) % 2:
        raise UserError(f"Prompts come in pairs, a good and a bad one; there are {len(prompts)}.")
    try:
        tokens = import_clip().tokenize(list(prompts))
    except RuntimeError as error:
        raise UserError(f"{error}; shorten the prompt.") from None
    return model.encode_text(tokens).unflatten(0, (-1, 2))


def _read_clip(path: Path) -> Mapping[str, torch.Tensor]:
    """The state dict of a whole CLIP, from each of the three formats."""
    if path.suffix == ".safetensors":
        content: Any = read_safetensors(path)[0]
    elif _is_torchscript(path):
        content = _read_torchscript(path)
    else:
        content = read_torch(path)
    if not is_state_dict(content):
        raise UserError(f"{path}: expected a state dict of CLIP, which this is not.")
    return {key: value for key, value in content.items() if key not in _NOT_WEIGHTS}


def _is_torchscript(path: Path) -> bool:
    """TorchScript archives hold their constants in a file that torch.save does not write."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def _read_torchscript(path: Path) -> Mapping[str, torch.Tensor]:
    """The tensors of OpenAI's archive; its code is compiled by torch, never run."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript is deprecated, but it is what OpenAI publishes
            return torch.jit.load(path, map_location="cpu").state_dict()
    except (RuntimeError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: not a readable TorchScript archive ({reason}).") from None


def _read_encoder(path: Path) -> tuple[Mapping[str, torch.Tensor], Mapping[str, str]]:
    """The state dict of an image encoder and its metadata ({} for the authors' file)."""
    if not path.is_file():
        raise UserError(f"{path}: there is no such weights file.")
    metadata: Mapping[str, str] = {}
    if path.suffix == ".safetensors":
        content, metadata = read_safetensors(path)
    else:
        content = read_torch(path)
    if not content or not is_state_dict(content):
        raise UserError(f"{path}: expected a state dict of CLIP's image encoder, which this is not.")
    return without_wrapper(content), metadata
