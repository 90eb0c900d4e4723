"""Which encoders a script works with: what its arguments ask for, found, read and put on their device."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from configs import Settings
from models.device import choose_device, choose_precision
from models.weights.high_level import (
    NO_CLIP,
    HighLevelWeights,
    find_clip,
    find_high_level,
    load_high_level,
)
from models.weights.low_level import LowLevelWeights, find_low_level, load_low_level
from models.weights.semantic import SemanticWeights
from utils.errors import UserError

Say = Callable[[str], None]


@dataclass(frozen=True)
class Encoders:
    """The encoders that there are, in evaluation mode on `device`, with where they came from."""

    low: LowLevelWeights | None
    high: HighLevelWeights | None
    device: torch.device
    precision: torch.dtype
    content: SemanticWeights | None = None

    def line(self) -> str:
        """The weights in words, each with the first digits of its SHA-256."""
        parts = []
        if self.low is not None:
            parts.append(f"low-level weights {self.low.path.name} (sha256 {self.low.sha256[:12]})")
        if self.high is not None:
            clip = f"CLIP {self.high.clip_path.name} (sha256 {self.high.clip_sha256[:12]})"
            if self.high.path is None or self.high.sha256 is None:
                parts.append(f"stock {clip}, not fine-tuned")
            else:
                tuned = f"{self.high.path.name} (sha256 {self.high.sha256[:12]})"
                parts.append(f"high-level weights {tuned} of {clip}")
        if self.content is not None:
            parts.append(f"content weights {self.content.path.name} (sha256 {self.content.sha256[:12]})")
        return "; ".join(parts)

    def checksums(self) -> dict[str, str | None]:
        """SHA-256 of each file in use; None where there is none."""
        return {
            "low_level_sha256": None if self.low is None else self.low.sha256,
            "high_level_sha256": None if self.high is None else self.high.sha256,
            "clip_sha256": None if self.high is None else self.high.clip_sha256,
            "content_sha256": None if self.content is None else self.content.sha256,
        }


def add_encoder_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that `load_encoders` reads."""
    add = parser.add_argument
    add("--branch", choices=("low", "high", "both", "available"), default="available",
        help="default: low, and high where CLIP's weights are at hand")  # fmt: skip
    add("--ll_model_weights_path", help="low-level weights, ours or the authors' .tar; default: shipped")
    add("--hl_model_weights_path", help="fine-tuned image encoder, ours or the authors' .pth; default: "
        "the authors' where it was put in place, else stock CLIP")  # fmt: skip
    add("--clip_weights", help="CLIP's weights: OpenAI's archive, a state dict or safetensors")
    add("--architecture", default="RN50", help="CLIP's ResNet where no file is named, %(default)s")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1; auto takes a GPU when there is one")
    add("--precision", choices=("float32", "bfloat16"), default="float32", help="of the test features")


def load_encoders(args: argparse.Namespace, settings: Settings, say: Say) -> Encoders:
    """The encoders that the arguments of `add_encoder_arguments` ask for.

    Args:
        args: the parsed arguments.
        settings: prompts and positional embedding of the high-level branch.
        say: receives one sentence on the branches in use.

    Raises:
        UserError: the high-level branch was asked for and there are no CLIP weights.
        ValueError: device or weights cannot be used; the message says what to do.
    """
    device = choose_device(args.device)
    clip = None if args.branch == "low" else find_clip(args.architecture, args.clip_weights)
    wanted = args.branch in ("high", "both") or (args.branch == "available" and args.hl_model_weights_path)
    if wanted and clip is None:
        raise UserError(f"{NO_CLIP.format(flag='--clip_weights')}, or use --branch low.")
    say(_branches(args.branch, clip) + _unused(args))
    low = high = None
    if args.branch != "high":
        low = load_low_level(args.ll_model_weights_path or find_low_level())
        low.model.to(device)
    if clip is not None:
        named = args.hl_model_weights_path
        tuned = Path(named) if named else find_high_level()
        high = load_high_level(clip, tuned, settings.prompts, settings.positions)
        high.encoder.to(device)
        if high.metadata.get("clip_sha256", high.clip_sha256) != high.clip_sha256:
            say(f"{high.path}: was fine-tuned from another file of CLIP weights than {clip}.")
    return Encoders(low, high, device, choose_precision(args.precision, device))


def _unused(args: argparse.Namespace) -> str:
    """A sentence on weights that are named for a branch that was left out."""
    of_other = {
        "low": ("hl_model_weights_path", "clip_weights"),
        "high": ("ll_model_weights_path", "pristine_img_dir"),
    }
    named = [f"--{name}" for name in of_other.get(args.branch, ()) if getattr(args, name, None)]
    return f" Not used: {', '.join(named)}." if named else ""


def _branches(asked: str, clip: Path | None) -> str:
    if asked != "available":
        words = {"low": "low-level", "high": "high-level", "both": "low-level and high-level"}
        return f"Branch: {words[asked]} (as asked)."
    if clip is None:
        return f"Branch: low-level alone. {NO_CLIP.format(flag='--clip_weights')}."
    return f"Branch: low-level and high-level (CLIP weights are at hand: {clip})."
