"""The encoders of a model: found as its settings ask, read when they are first used, on their device."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

from torch import nn

from configs import Settings
from models.device import choose_device, choose_precision
from models.engine import Run, fastest, run_by_torch
from models.high_level import BAND_PIXELS, HighLevelEncoder
from models.low_level import InnerFeatures, LowLevelEncoder
from models.semantic import SHALLOW, STAGES, DeepStages, SemanticEncoder, ShallowStages, run_in_bands
from models.weights.clip import find_clip
from models.weights.high_level import HighLevelWeights, find_high_level, load_high_level
from models.weights.low_level import LowLevelWeights, find_low_level, open_low_level
from models.weights.semantic import SemanticWeights, load_semantic
from utils.errors import UserError
from utils.files import source_sha256

Say = Callable[[str], object]


class Encoders:
    """The encoders that `settings` ask for; one that nothing asks for is never read."""

    def __init__(self, settings: Settings, say: Say) -> None:
        """Decide which branches there are, and say it.

        Raises:
            UserError: the device is not there, or CLIP's weights are asked for and not to be had.
        """
        self.settings, self.say = settings, say
        self.device = choose_device(settings.device)
        self.precision = choose_precision(settings.precision, self.device)
        self.clip_path: Path | None = None
        absent = ""
        if settings.branch != "low":
            self.clip_path, absent = find_clip(settings.architecture, settings.clip)
            named = settings.branch == "available" and (settings.high or settings.clip)
            if self.clip_path is None and (settings.branch in ("high", "both") or named):
                raise UserError(f"{absent}, or use --branch low.")
        self.has_low = settings.branch != "high"
        self.has_high = self.clip_path is not None
        for sentence in _sentences(settings, self.clip_path, absent):
            say(sentence)

    @cached_property
    def low(self) -> LowLevelWeights:
        """The low-level encoder; its tensors are read when torch runs it, not where a runtime kept it."""
        weights = open_low_level(self.settings.low or find_low_level())
        return replace(weights, read=lambda: weights.read().to(self.device).requires_grad_(False))

    @cached_property
    def high(self) -> HighLevelWeights:
        """CLIP's image encoder, fine-tuned where there are such weights, and the features of the prompts."""
        assert self.clip_path is not None
        tuned = Path(self.settings.high) if self.settings.high else find_high_level()
        weights = load_high_level(self.clip_path, tuned, self.settings.prompts, self.settings.positions)
        if weights.metadata.get("clip_sha256", weights.clip_sha256) != weights.clip_sha256:
            self.say(f"{weights.path}: was fine-tuned from other CLIP weights than {self.clip_path}.")
        return weights

    @cached_property
    def semantic(self) -> SemanticWeights:
        """The semantic encoder."""
        return load_semantic(device=self.device)

    @cached_property
    def run_low(self) -> Run:
        """Features (N, 128) of the low-level encoder."""
        return self._fastest(LowLevelEncoder, lambda: self.low.model, self.low.sha256)

    @cached_property
    def run_inner(self) -> Run:
        """Features (N, 960) of the inner stages of the low-level encoder."""
        return self._fastest(InnerFeatures, lambda: InnerFeatures(self.low.model).eval(), self.low.sha256)

    @cached_property
    def run_high(self) -> Run:
        """Features (N, 1024) of CLIP's RN50."""
        high = self.high
        if self.settings.positions == "interpolate":  # which OpenVINO does in another way
            return run_by_torch(high.encoder, self.precision)
        weights = f"{high.clip_sha256} {high.sha256}"
        return self._fastest(HighLevelEncoder, lambda: high.encoder, weights, BAND_PIXELS)

    @cached_property
    def run_semantic(self) -> Run:
        """Maps of the stages of the semantic encoder."""
        encoder, sha256 = self.semantic.encoder, self.semantic.sha256
        if self.settings.engine == "torch" or self.device.type != "cpu":
            return self._fastest(SemanticEncoder, lambda: encoder, sha256)
        shallow = self._fastest(ShallowStages, lambda: ShallowStages(encoder).eval(), sha256)
        channels = STAGES[SHALLOW - 1][3]
        deep = self._fastest(DeepStages, lambda: DeepStages(encoder).eval(), sha256, channels=channels)
        return partial(run_in_bands, shallow, deep)

    def _fastest(
        self, kind: type[nn.Module], make: Callable[[], nn.Module], weights: str,
        most_pixels: float = math.inf, channels: int = 3,
    ) -> Run:  # fmt: skip
        def encoder() -> nn.Module:
            return make().to(self.device).requires_grad_(False)

        if self.settings.engine == "torch":
            return run_by_torch(encoder(), self.precision)
        key = f"{kind.__name__} {weights} {source_sha256(kind.forward.__code__.co_filename)}"
        return fastest(encoder, key, self.device, self.precision, most_pixels, channels)

    def line(self) -> str:
        """The weights that were used, in words, each with the first digits of its SHA-256."""
        used, parts = vars(self), []
        if "low" in used:
            parts.append(f"low-level weights {self.low.path.name} (sha256 {self.low.sha256[:12]})")
        if "high" in used:
            clip = f"CLIP {self.high.clip_path.name} (sha256 {self.high.clip_sha256[:12]})"
            if self.high.path is None or self.high.sha256 is None:
                parts.append(f"stock {clip}, not fine-tuned")
            else:
                tuned = f"{self.high.path.name} (sha256 {self.high.sha256[:12]})"
                parts.append(f"high-level weights {tuned} of {clip}")
        if "semantic" in used:
            parts.append(f"semantic weights {self.semantic.path.name} (sha256 {self.semantic.sha256[:12]})")
        return "; ".join(parts)

    def checksums(self) -> dict[str, str | None]:
        """SHA-256 of each file that was used; None where there is none."""
        used = vars(self)
        return {
            "low_level_sha256": self.low.sha256 if "low" in used else None,
            "high_level_sha256": self.high.sha256 if "high" in used else None,
            "clip_sha256": self.high.clip_sha256 if "high" in used else None,
            "semantic_sha256": self.semantic.sha256 if "semantic" in used else None,
        }


def _sentences(settings: Settings, clip: Path | None, absent: str) -> list[str]:
    """Which branches there are and why, and which settings have no effect."""
    words = {"low": "low-level", "high": "high-level", "both": "low-level and high-level"}
    if settings.branch != "available":
        sentences = [f"Branch: {words[settings.branch]} (as asked)."]
    elif clip is None:
        sentences = [f"Branch: low-level alone. {absent}."]
    else:
        sentences = [f"Branch: low-level and high-level (CLIP weights are at hand: {clip})."]
    of_other = {"low": ("high", "clip"), "high": ("low", "pristine")}
    unused = [name for name in of_other.get(settings.branch, ()) if getattr(settings, name)]
    if unused:
        sentences.append(f"Not used with branch={settings.branch}: {', '.join(unused)}.")
    return sentences
