"""The model: from any image to what is measured of it, and from there to its scores (method.md part 4)."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed

from configs import Settings
from datasets.images import ImageLike, as_image, as_images
from datasets.rated.sets import RatedImage
from datasets.read_ahead import read_ahead
from Evaluation.distance import distance, low_level_quality, statistics
from Evaluation.encoders import Encoders, Say
from Evaluation.extended.score import PARTS, ExtendedScore, check_semantic, read_extended
from Evaluation.measuring import Pixels, measure, pixels_of, read_pixels, together
from Evaluation.pristine import Pristine, find_pristine
from Evaluation.processes import measure_in_processes
from Evaluation.ranks import measure_by_ranks
from Evaluation.zeroshot import (
    Measurement,
    Part,
    ScoreRow,
    Scores,
    Status,
    Unmeasured,
    combined,
)
from models.device import out_of_memory
from models.engine import computing
from models.high_level import antonym_quality
from models.ranks import processes
from utils.errors import UserError


class GRepQ:
    """GRepQ on images of any size: zero-shot scores, and features for few labels.

    >>> from Evaluation import GRepQ
    >>> model = GRepQ.from_pretrained(branch="low", device="cpu")
    >>> round(model.score("samples/coffee.jpg").q_low, 3)
    0.455
    >>> model.features("samples/coffee.jpg").shape
    (128,)
    """

    def __init__(self, settings: Settings, say: Say = lambda sentence: None) -> None:
        """Decide which encoders there are; weights and statistics are read when they are first used.

        Args:
            settings: which encoders, pristine statistics and score.
            say: receives what the user should know, a sentence at a time.

        Raises:
            UserError: the device is not there, or CLIP's weights are asked for and not to be had.
        """
        self.settings, self.say = settings, say
        self.encoders = Encoders(settings, say)

    @classmethod
    def from_pretrained(cls, say: Say = lambda sentence: None, **fields: Any) -> GRepQ:
        """The model of the shipped weights; high branch too where CLIP's weights are at hand.

        Args:
            say: receives what the user should know, a sentence at a time.
            fields: of `configs.Settings`: low, high, clip, pristine, score, device, precision ...

        Raises:
            UserError: an unknown field or a value that it cannot take; or as the class.
        """
        known = {field.name for field in dataclasses.fields(Settings)}
        for name in fields:
            if name not in known:
                raise UserError(f"GRepQ has no setting '{name}'; there are {', '.join(sorted(known))}.")
        named: dict[str, Any] = {
            name: str(value) if isinstance(value, Path) else value for name, value in fields.items()
        }
        return cls(Settings(**named), say)

    @cached_property
    def pristine(self) -> Pristine:
        """The pristine statistics that belong to weights and settings; they are made where need be."""
        folder = Path(self.settings.pristine) if self.settings.pristine else None
        return find_pristine(self.encoders.low, self.settings, folder, Path.cwd(), self.say)

    @cached_property
    def extended(self) -> ExtendedScore | None:
        """The extended score that the low-level weights bring; None: the paper's."""
        if self.settings.score == "paper" or not self.encoders.has_low:
            return None
        score = read_extended(self.encoders.low.metadata, self.encoders.low.path)
        if score is not None:
            check_semantic(score, self.encoders.low.path, self.encoders.semantic)
        return score

    @property
    def name(self) -> str:
        """Whose score it is."""
        return "GRepQ (paper)" if self.extended is None else "GRepQ extended"

    @property
    def score_name(self) -> str:
        """The score by which images are compared: Q, the sum, where both branches are in use."""
        both = self.encoders.has_low and self.encoders.has_high
        return "Q" if both else "Q_low" if self.encoders.has_low else "Q_high"

    @property
    def parts(self) -> tuple[Part, ...]:
        """What of an image has to be measured for its scores."""
        low = self.low_parts if self.encoders.has_low else ()
        return (*low, "high") if self.encoders.has_high else low

    @property
    def low_parts(self) -> tuple[Part, ...]:
        """What of an image has to be measured for its `distance`."""
        return ("patches",) if self.extended is None else PARTS

    def load(self) -> GRepQ:
        """Read all that scores need now, and not with the first image.

        Raises:
            UserError: weights or statistics cannot be used; the message says what to do.
        """
        read = {"patches": "run_low", "tiles": "run_low", "semantic": "run_semantic", "high": "run_high"}
        for part in self.parts:
            if part in read:
                getattr(self.encoders, read[part])
        if self.encoders.has_low:
            self.pristine  # noqa: B018 (found or made by asking for it)
        return self

    def measure(self, image: torch.Tensor, parts: Collection[Part] | None = None) -> Measurement:
        """What the encoders see of an image (3, H, W) in [0, 1].

        Args:
            image: as it was read.
            parts: what to measure; None: what the scores need.

        Raises:
            UserError: the image is so narrow that it would become too large.
        """
        return self._measure([pixels_of(image)], parts or self.parts)[0]

    def _measure(self, images: Sequence[Pixels], parts: Collection[Part]) -> list[Measurement]:
        return measure(images, parts, self.encoders, self.settings)

    def score(self, image: ImageLike | Measurement) -> Scores | list[Scores]:
        """Scores of an image, higher is better; a list of them for a tensor (N, 3, H, W).

        Args:
            image: a path; an array (H, W) or (H, W, 3) or a tensor (3, H, W), uint8 or in [0, 1]; a PIL
                image; or what `measure` returned.

        Raises:
            UserError: the image, weights or statistics cannot be used; the message says why.
        """
        if isinstance(image, Measurement):
            return self._score(image)
        if isinstance(image, str | Path):
            pixels = read_pixels(RatedImage(str(image), Path(image)), self.parts, self.settings)
            return self._score(self._measure([pixels], self.parts)[0])
        images, many = as_images(image)
        scores = [self._score(self.measure(one)) for one in images]
        return scores if many else scores[0]

    def _score(self, image: Measurement) -> Scores:
        q_low, q_high = (None if one is None else one.item() for one in self.qualities(image))
        return combined(q_low, q_high, image.notes)

    def qualities(self, image: Measurement) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Q_low and Q_high, () each; None is the branch that there is not."""
        q_low = q_high = None
        if self.encoders.has_low:
            q_low = low_level_quality(self.distance(image))
        if self.encoders.has_high:
            q_high = antonym_quality(image.part("high")[None], self.encoders.high.text)[0]
        return q_low, q_high

    def loss(self, images: torch.Tensor) -> torch.Tensor:
        """Minus the score by which images are compared, with gradients where `images` ask for them.

        () of an image (3, H, W), (N,) of images (N, 3, H, W); values beyond [0, 1] are clamped.

        >>> image = torch.rand(3, 120, 120, requires_grad=True)
        >>> GRepQ.from_pretrained(branch="low", device="cpu").loss(image).backward()
        >>> image.grad.shape
        torch.Size([3, 120, 120])

        Raises:
            UserError: an image, weights or statistics cannot be used; the message says why.
        """
        if images.ndim not in (3, 4) or images.shape[-3] != 3 or not images.is_floating_point():
            raise UserError(f"{images.dtype} of shape {tuple(images.shape)} is no image of floats (3, H, W).")
        found = []
        for image in images.float().clamp(0, 1).view(-1, *images.shape[-3:]):
            qualities = self.qualities(self.measure(image.cpu().contiguous()))
            found.append(-torch.stack([one.double() for one in qualities if one is not None]).sum())
        return found[0] if images.ndim == 3 else torch.stack(found)

    def distance(self, image: Measurement) -> torch.Tensor:
        """The number (), 0 or more, that Q_low is taken of: the paper's distance, or the extended score's.

        Raises:
            UserError: it cannot be computed.
        """
        pristine, regularisation = self.pristine.statistics, self.settings.regularisation
        if self.extended is not None:
            return self.extended.distance(image, pristine, regularisation)
        return distance(pristine, statistics(image.part("patches").flatten(0, 1)), regularisation)

    def features(self, image: ImageLike) -> np.ndarray:
        """Features of the whole image for regression, float32: 1024 of CLIP's RN50, then 128 low-level ones.

        (1152,), or those of the branch that there is; as get_concatenated_features.py writes them.

        Raises:
            UserError: the image or weights cannot be used; the message says why.
        """
        wanted = {"high": self.encoders.has_high, "low": self.encoders.has_low}
        parts: list[Part] = [part for part, there in wanted.items() if there]  # type: ignore[misc]
        measured = self.measure(as_image(image), parts)
        return torch.cat([measured.part(part) for part in parts]).numpy()

    def measure_images(
        self, images: Iterable[RatedImage | str | Path], parts: Collection[Part] | None = None
    ) -> Iterator[tuple[RatedImage, Measurement | Unmeasured]]:
        """Each image in order with what is measured of it, or why it cannot be.

        The next images are decoded meanwhile, and small ones are measured together. What is measured of one
        depends on it alone, whatever processes share the work: those of `settings.jobs`, or of torchrun.
        """
        rated = [one if isinstance(one, RatedImage) else RatedImage(str(one), Path(one)) for one in images]
        wanted = parts or self.parts
        if self.settings.jobs > 1 and len(rated) > 1:
            yield from zip(rated, measure_in_processes(self.settings, rated, wanted), strict=True)
        elif processes() > 1 and distributed.is_initialized():
            yield from zip(rated, measure_by_ranks(self, rated, wanted), strict=True)
        else:
            yield from self.measure_here(rated, wanted)

    def measure_here(
        self, images: Sequence[RatedImage], wanted: Collection[Part]
    ) -> Iterator[tuple[RatedImage, Measurement | Unmeasured]]:
        """As `measure_images`, by this process alone."""

        def read(image: RatedImage) -> Pixels:
            return read_pixels(image, wanted, self.settings)

        for some in together(zip(images, read_ahead(images, read), strict=True)):
            there = [pixels for _, pixels in some if not isinstance(pixels, str)]
            measured = iter(self._attempt(there, wanted))
            for image, pixels in some:
                yield image, Unmeasured(pixels) if isinstance(pixels, str) else next(measured)

    def _attempt(
        self, images: Sequence[Pixels], parts: Collection[Part]
    ) -> Sequence[Measurement | Unmeasured]:
        """What is measured of images together, or of each by itself where one of them cannot be measured."""
        try:
            with computing:
                return self._measure(images, parts) if images else []
        except UserError as error:
            reason = str(error)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            reason = "does not fit in memory"
        if len(images) == 1:
            return [Unmeasured(reason, *images[0].size)]
        return [one for image in images for one in self._attempt([image], parts)]

    def score_images(self, images: Iterable[RatedImage | str | Path]) -> Iterator[ScoreRow]:
        """One row an image, in order, each as it is done; one without scores says why."""
        for image, measured in self.measure_images(images):
            scores, status = Scores(), Status(measured.notes if isinstance(measured, Measurement) else ())
            try:
                if isinstance(measured, Unmeasured):
                    raise UserError(measured.reason)
                scores = self._score(measured)
            except UserError as error:
                status = Status(reason=str(error))
            yield ScoreRow(
                image.name, measured.width, measured.height, scores.q_low, scores.q_high, scores.q, image.mos,
                status,
            )  # fmt: skip
