"""The model: from any image to what is measured of it, and from there to its scores (method.md part 4)."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from configs import Settings
from datasets.decoder import read_image, read_reduced
from datasets.images import ImageLike, as_image, as_images
from datasets.rated.sets import RatedImage
from datasets.read_ahead import read_ahead
from Evaluation.distance import distance, low_level_quality, statistics
from Evaluation.encoders import Encoders, Say
from Evaluation.extended.detail import detail
from Evaluation.extended.score import PARTS, ExtendedScore, read_extended
from Evaluation.extended.semantic_features import semantic_features
from Evaluation.extended.tiles import tile_features
from Evaluation.extended.view import to_view, view_size
from Evaluation.image_sizes import as_the_set_resizes, at_least_smallest, with_two_patches
from Evaluation.patches import overlapping_features, whole_features
from Evaluation.pristine import Pristine, find_pristine
from Evaluation.zeroshot import (
    VIEW_PARTS,
    Measurement,
    Part,
    Pixels,
    ScoreRow,
    Scores,
    Status,
    Unmeasured,
    combined,
)
from models.device import out_of_memory
from models.high_level import antonym_quality
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
            check_semantic(score, self.encoders)
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
        return self._measure_all(_pixels(image), parts or self.parts)

    def _measure_all(self, pixels: Pixels, parts: Collection[Part]) -> Measurement:
        measured: dict[str, Any] = {}
        notes = []
        view = pixels.view
        if not VIEW_PARTS.isdisjoint(parts):
            view, note = to_view(view, pixels.size, self.settings)
            notes.append(note)
        for part in parts:
            measured[part], note = self._measure(part, view if part in VIEW_PARTS else pixels.whole)
            notes.append(note)
        return Measurement(*pixels.size, **measured, notes=tuple(dict.fromkeys(filter(None, notes))))

    def _measure(self, part: Part, image: torch.Tensor) -> tuple[torch.Tensor, str]:
        """One part of a `Measurement`, and a note where the image was enlarged for it."""
        encoders, settings = self.encoders, self.settings
        if part == "semantic":
            return semantic_features(image, encoders.run_semantic), ""
        if part == "detail":
            return torch.tensor(detail(image), dtype=torch.float64), ""
        if part in ("tiles", "inner"):
            run = encoders.run_low if part == "tiles" else encoders.run_inner
            return tile_features(image, run, settings), ""
        if part == "patches":
            image, note = with_two_patches(image, settings)
            return overlapping_features(image, encoders.run_low, settings), note
        image, note = at_least_smallest(image)
        return whole_features(image, encoders.run_low if part == "low" else encoders.run_high), note

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
            return self._score(self._measure_all(self._read(Path(image), self.parts), self.parts))
        images, many = as_images(image)
        scores = [self._score(self.measure(one)) for one in images]
        return scores if many else scores[0]

    def _score(self, image: Measurement) -> Scores:
        q_low = q_high = None
        if self.encoders.has_low:
            q_low = low_level_quality(self.distance(image))
        if self.encoders.has_high:
            q_high = antonym_quality(image.part("high")[None], self.encoders.high.text).item()
        return combined(q_low, q_high, image.notes)

    def distance(self, image: Measurement) -> float:
        """The number, 0 or more, that Q_low is taken of: the paper's distance, or the extended score's.

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

        The next images are decoded meanwhile. What is measured of one depends on it alone.
        """
        rated = [one if isinstance(one, RatedImage) else RatedImage(str(one), Path(one)) for one in images]
        wanted = parts or self.parts

        def read(image: RatedImage) -> Pixels:
            if image.size is None:
                return self._read(image.path, wanted)
            # A set that says at which size its images are scored starts from all their pixels.
            return _pixels(read_image(image.path))

        for image, pixels in zip(rated, read_ahead(rated, read), strict=True):
            if isinstance(pixels, str):
                yield image, Unmeasured(pixels)
            else:
                yield image, self._attempt(image, pixels, wanted)

    def _read(self, path: Path, parts: Collection[Part]) -> Pixels:
        """What parts are measured of; the view is the same whether all pixels are asked for too or not.

        Raises:
            UserError: the file cannot be read.
        """
        if VIEW_PARTS.isdisjoint(parts):
            return _pixels(read_image(path))
        view, size = read_reduced(path, self._size_to_read)
        nothing_more = VIEW_PARTS.issuperset(parts) or tuple(view.shape[-2:]) == size
        return Pixels(size, view if nothing_more else read_image(path), view)

    def _size_to_read(self, height: int, width: int) -> tuple[int, int]:
        try:
            return view_size(height, width, self.settings)
        except UserError:
            return height, width  # told when the image is measured, where its size is known

    def _attempt(
        self, image: RatedImage, pixels: Pixels, parts: Collection[Part]
    ) -> Measurement | Unmeasured:
        own, note = pixels.size, ""
        try:
            if image.size is not None:
                resized, note = as_the_set_resizes(pixels.whole, image.size)
                pixels = _pixels(resized)
            measured = self._measure_all(pixels, parts)
        except UserError as error:
            return Unmeasured(str(error), *own)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            return Unmeasured("does not fit in memory", *own)
        notes = (note, *measured.notes) if note else measured.notes
        return dataclasses.replace(measured, height=own[0], width=own[1], notes=notes)

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


def _pixels(image: torch.Tensor) -> Pixels:
    return Pixels((image.shape[-2], image.shape[-1]), image, image)


def check_semantic(score: ExtendedScore, encoders: Encoders) -> None:
    """Raise `UserError` where the score was made for other semantic weights than there are."""
    semantic = encoders.semantic
    if semantic.sha256 != score.semantic_sha256:
        known = score.semantic_sha256[:12] or "unknown"
        raise UserError(
            f"{encoders.low.path}: its score was made for semantic weights sha256 {known}, those of "
            f"{semantic.path} are {semantic.sha256[:12]}; make another with 'python -m "
            "tools.install_weights', or use --score paper."
        )
