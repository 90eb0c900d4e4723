"""What a training step of the low-level branch sees: two views of some versions of some images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from configs import LowLevelTraining
from datasets.distorted.jpeg_augmentation import through_jpeg
from datasets.fragments import two_views
from datasets.version_folders import VersionFolder, read_versions


class ImageViews(NamedTuple):
    """D versions of one image in two views (D, 3, S, S), float32 in [0, 1].

    `similarity` is their FSIM (D, D), `targets` (D, K) what the first features are to say, K 0 for nothing.
    """

    images: torch.Tensor
    augmentations: torch.Tensor
    similarity: torch.Tensor
    targets: torch.Tensor
    folder: str


class Batch(NamedTuple):
    """Images of a step set end to end: views (sum of D, 3, S, S) and targets (sum of D, K)."""

    images: torch.Tensor
    augmentations: torch.Tensor
    similarities: list[torch.Tensor]
    targets: torch.Tensor
    folders: list[str]


class VersionPairs(Dataset[ImageViews]):
    """Images by (epoch, place): the same key gives the same draw in whatever process and order."""

    def __init__(
        self,
        folders: Sequence[VersionFolder],
        matrices: Sequence[np.ndarray],
        config: LowLevelTraining,
        targets: Sequence[np.ndarray] | None = None,
    ) -> None:
        self.folders, self.matrices, self.config, self.targets = folders, matrices, config, targets

    def __len__(self) -> int:
        return len(self.folders)

    def __getitem__(self, key: tuple[int, int]) -> ImageViews:
        epoch, place = key
        config, folder = self.config, self.folders[place]
        generator = seeded_generator(config.seed, epoch, place)
        chosen = draw_versions(len(folder.files), folder.reference, config.versions, generator)
        pixels = read_versions(folder, chosen)
        early = epoch % config.cycle_epochs < config.early_epochs
        size = config.early_fragment_size if early else config.fragment_size
        images, augmentations = two_views(pixels, config.fragments_per_side, size, generator)
        if config.jpeg_augmentation:
            images, augmentations = (
                through_jpeg(view, config.jpeg_augmentation, generator) for view in (images, augmentations)
            )
        similarity = torch.from_numpy(self.matrices[place])[chosen][:, chosen].float()
        targets = torch.empty(len(chosen), 0)
        if self.targets is not None:
            targets = torch.from_numpy(self.targets[place])[chosen]
        return ImageViews(images, augmentations, similarity, targets, str(folder.path))


class ImageOrder(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, place) from a step on to the end of training, shuffled anew each epoch.

    The last, shorter batch of an epoch is kept unless `drop_last` is set. A step's content follows
    from the seed and its number alone, so a resumed run goes on exactly where it was.
    """

    def __init__(
        self,
        folders: int,
        batch_size: int,
        epochs: int,
        seed: int,
        first_step: int = 0,
        drop_last: bool = False,
    ) -> None:
        self.folders, self.batch_size, self.epochs = folders, batch_size, epochs
        self.seed, self.first_step, self.drop_last = seed, first_step, drop_last

    @property
    def steps_per_epoch(self) -> int:
        """Batches an epoch."""
        whole, rest = divmod(self.folders, self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __len__(self) -> int:
        return self.steps_per_epoch * self.epochs - self.first_step

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for epoch in range(self.first_step // self.steps_per_epoch, self.epochs):
            order = torch.randperm(self.folders, generator=seeded_generator(self.seed, epoch, -1))
            batches = order.split(self.batch_size)
            done = max(0, self.first_step - epoch * self.steps_per_epoch)
            for batch in batches[done : self.steps_per_epoch]:
                yield [(epoch, place) for place in batch.tolist()]


def collate(views: Sequence[ImageViews]) -> Batch:
    """Set the images of a step end to end; each may have its own number of versions."""
    images, augmentations, similarities, targets, folders = zip(*views, strict=True)
    return Batch(
        torch.cat(images), torch.cat(augmentations), list(similarities), torch.cat(targets), list(folders)
    )


def draw_versions(count: int, reference: int, wanted: int, generator: torch.Generator) -> list[int]:
    """Places of the reference and `wanted - 1` others in ascending order; all where there are no more."""
    if count <= wanted:
        return list(range(count))
    others = [place for place in range(count) if place != reference]
    drawn = torch.randperm(len(others), generator=generator)[: wanted - 1].tolist()
    return sorted([reference, *(others[place] for place in drawn)])


def seeded_generator(*numbers: int) -> torch.Generator:
    """A CPU generator that depends on all the numbers and on nothing else."""
    digest = hashlib.sha256(repr(numbers).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
