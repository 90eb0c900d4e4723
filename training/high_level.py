"""Training of the high-level encoder: CLIP's good images gather, its bad ones too (method.md part 2)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import nn

from configs import HighLevelTraining
from datasets.reference_images import Batch, ReferenceImages, collate, find_references
from datasets.version_folders import unreadable
from datasets.version_pairs import ImageOrder
from losses.group_contrastive import choose_groups, group_contrastive_loss
from models.device import autocast, choose_device, choose_precision, place_model
from models.high_level import CLIP_MEAN, HighLevelEncoder, antonym_quality
from models.ranks import join_processes, processes
from models.weights.clip import find_clip
from models.weights.high_level import load_high_level
from training.batches import read_batches
from training.distributed import (
    gather_with_gradient,
    own_part,
    share_batch_norm,
)
from training.loop import Task, draw_repeatably, export_weights
from utils.cli import say
from utils.errors import UserError
from utils.files import file_sha256

# Length of a projection, the paper's.
PROJECTED = 128

SCORING = """Score with them:
python test_zeroshot.py --hl_model_weights_path {} --img_dir ..."""


class ProjectedEncoder(nn.Module):
    """The image encoder and the projection of its features that the loss compares."""

    def __init__(self, encoder: HighLevelEncoder, config: HighLevelTraining) -> None:
        super().__init__()
        self.encoder = encoder
        self.encoder.visual.requires_grad_(True)
        self.projection = nn.Linear(encoder.features, PROJECTED)
        self.projection.requires_grad_(config.projection == "trained")
        self.activation = nn.ReLU() if config.projection_activation == "relu" else nn.Identity()
        self.frozen_statistics = config.batch_norm == "frozen"

    def train(self, mode: bool = True) -> ProjectedEncoder:
        """As of every module, but frozen BatchNorms stay in evaluation mode."""
        super().train(mode)
        if self.frozen_statistics:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Features (N, F) of images (N, 3, H, W) in [0, 1]."""
        return self.encoder(images)

    def project(self, features: torch.Tensor) -> torch.Tensor:
        """Projections (N, 128) of features (N, F)."""
        return self.activation(self.projection(features))


def high_level_task(config: HighLevelTraining) -> Task:
    """Everything that the loop needs to train the high-level encoder as `config` says.

    Reads every image's bytes, and joins the other processes where torchrun started several.

    Raises:
        UserError: images that cannot be trained on.
        UserError: no CLIP, or one that cannot be used.
        ValueError: a device that is not on this machine, or a batch that the processes cannot share.
    """
    if config.batch_size % processes():
        raise UserError(f"Field 'batch_size' must be a multiple of the {processes()} processes.")
    device = choose_device(config.device)
    precision = choose_precision(config.precision, device)
    clip = _clip(config)
    files = _files(config)
    digest = _digest(files)
    weights = load_high_level(clip, None, config.prompts, config.positions)

    draw_repeatably(config.seed)
    device = join_processes(device)
    model = place_model(ProjectedEncoder(weights.encoder, config), device, torch.channels_last)
    if processes() > 1:
        share_batch_norm(model)
    text = weights.text.to(device)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.Adam(trained, lr=config.learning_rate)
    dataset = ReferenceImages(files, config.crop, CLIP_MEAN)

    def order(first_step: int) -> ImageOrder:
        count, seed = len(files), config.seed
        return ImageOrder(count, config.batch_size, config.epochs, seed, first_step, drop_last=True)

    def batches(first_step: int) -> Iterable[Batch]:
        own = (own_part(batch) for batch in order(first_step))
        return read_batches(dataset, own, collate, config, device)

    def loss(batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        images = batch.images.to(device, memory_format=torch.channels_last, non_blocking=True)
        with autocast(device, precision):
            features = model(images)
        return high_level_loss(model, gather_with_gradient(features.float()), text, config)

    def export(path: Path, steps: int) -> Path:
        of_clip = {"clip_sha256": weights.clip_sha256}
        return export_weights(weights.encoder.visual, path, steps, config, of_clip)

    steps_per_epoch = order(0).steps_per_epoch
    return Task(
        model=model,
        optimiser=optimiser,
        schedule=warmed_up(optimiser, config.warmup_epochs, steps_per_epoch),
        steps_per_epoch=steps_per_epoch,
        batches=batches,
        data=f"{digest} {weights.clip_sha256}",
        loss=loss,
        names=lambda batch: batch.files,
        export=export,
        scoring=_scoring(config),
    )


def warmed_up(
    optimiser: torch.optim.Optimizer, warmup_epochs: float, steps_per_epoch: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """The rate of each step: from 0 in equal parts up to the optimiser's own, where it stays."""
    warm = int(warmup_epochs * steps_per_epoch)
    return torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: min(step / warm, 1.0) if warm else 1.0)


def high_level_loss(
    model: ProjectedEncoder, features: torch.Tensor, text: torch.Tensor, config: HighLevelTraining
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The group contrastive loss of a batch, and the mean pseudo-label of each of its two groups.

    Args:
        model: projects.
        features: (N, F) of the whole batch.
        text: (P, 2, F) of the prompts, the good one of each pair first.
        config: the groups' size, the temperature.
    """
    with torch.no_grad():
        quality = antonym_quality(features, text)  # (N,)
    low, high = choose_groups(quality, config.group_size)
    projected = model.project(features)  # (N, 128)
    loss = group_contrastive_loss(projected[low], projected[high], config.temperature)
    return loss, {"quality_low": quality[low].mean(), "quality_high": quality[high].mean()}


def _clip(config: HighLevelTraining) -> Path:
    """CLIP's weights to start from; raises `UserError` where there are none."""
    clip, reason = find_clip(config.architecture, config.clip_weights)
    if clip is None:
        raise UserError(f"{reason}.")
    return clip


def _scoring(config: HighLevelTraining) -> str:
    """How the weights are scored with, by the CLIP that they were trained from where it was named."""
    named = config.clip_weights.replace("{", "{{").replace(
        "}", "}}"
    )  # the path of the weights is put in later
    return f"{SCORING} --clip_weights {named}" if named else SCORING


def _files(config: HighLevelTraining) -> list[Path]:
    """The images of all sets that can be read; raises `UserError` where they do not fill a batch."""
    found = [file for root in config.data for file in find_references(root, config.reference)]
    bad = unreadable(found, config.skip_unreadable, say)
    files = [file for file in found if file not in bad]
    if len(files) < config.batch_size:
        raise UserError(
            f"{', '.join(config.data)}: {len(files)} image(s) are too few for a batch of "
            f"{config.batch_size}; lower it with --set batch_size={len(files)} (at least 2 group_size)."
        )
    return files


def _digest(files: Sequence[Path]) -> str:
    """SHA-256 of names and contents."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(repr([file.name, file_sha256(file)]).encode())
    return digest.hexdigest()
