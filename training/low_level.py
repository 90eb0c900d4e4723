"""Training of the low-level encoder: the paper's recipe on any folder-per-image sets (method.md part 1)."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import torch

from configs import LowLevelTraining
from datasets.annotator_matrices import annotator_matrices
from datasets.distorted.targets import TARGETS, distortion_targets, version_levels
from datasets.version_folders import find_version_folders
from datasets.version_pairs import Batch, ImageOrder, VersionPairs, collate
from losses.distortion_targets import distortion_target_loss
from losses.quality_aware import quality_aware_loss
from models.device import autocast, choose_device, choose_precision, place_model
from models.low_level import LowLevelEncoder, start_from_cosines
from models.ranks import processes
from models.weights.low_level import LowLevelWeights, load_low_level
from training.batches import read_batches
from training.ema import averaged, between
from training.loop import Task, draw_repeatably, export_weights
from utils.cli import say
from utils.errors import UserError

SCORING = """Score with them, DIR being a folder of sharp, undistorted images:
python test_zeroshot.py --ll_model_weights_path {} --pristine_img_dir DIR --img_dir ..."""


def low_level_task(config: LowLevelTraining) -> Task:
    """Everything that the loop needs to train the low-level encoder as `config` says.

    Reads the sets (every file that is new to their FSIM files whole).

    Raises:
        UserError: a set that cannot be trained on.
        ValueError: a device that is not on this machine, or several processes.
    """
    if processes() > 1:
        raise UserError("The low-level encoder trains in one process: call python, not torchrun.")
    device = choose_device(config.device)
    precision = choose_precision(config.precision, device)
    # Before the sets, whose FSIM may take minutes.
    start = None if config.start in ("random", "cosines") else _start_weights(config.start)
    dataset = read_sets(config, device)

    draw_repeatably(config.seed)
    model = place_model(_first_model(config.start, start), device, torch.channels_last)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    average = averaged(model, config.ema) if config.ema else None
    order = ImageOrder(len(dataset), config.batch_size, config.epochs, config.seed)
    schedule = learning_rates(optimiser, config, len(order))
    # A run does not go on with other images, or from another start than it began with.
    digest = _digest(dataset) + (f" {start.sha256}" if start else "")

    def batches(first_step: int) -> Iterable[Batch]:
        order = ImageOrder(len(dataset), config.batch_size, config.epochs, config.seed, first_step)
        return read_batches(dataset, order, collate, config, device)

    def loss(batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        return low_level_loss(model, batch, config, device, precision, torch.channels_last), {}

    def export(path: Path, steps: int) -> Path:
        exported, more = model if average is None else average.module, {}
        if config.objective == "targets":
            more["distortion_targets"] = json.dumps(TARGETS)
        if start is not None:
            exported = between(start.model, exported, config.start_share)
            more["start_sha256"] = start.sha256
        return export_weights(exported, path, steps, config, more)

    return Task(
        model=model,
        optimiser=optimiser,
        schedule=schedule,
        steps_per_epoch=order.steps_per_epoch,
        batches=batches,
        data=digest,
        loss=loss,
        names=lambda batch: batch.folders,
        export=export,
        scoring=SCORING,
        average=average,
    )


def _first_model(name: str, start: LowLevelWeights | None) -> LowLevelEncoder:
    """The encoder as field 'start' has it begin, with the weights of its file where it names one."""
    model = LowLevelEncoder()
    if name == "cosines":
        start_from_cosines(model)
    if start is not None:
        model.load_state_dict(start.model.state_dict())
    return model


def _start_weights(start: str) -> LowLevelWeights:
    """The file that field 'start' names."""
    if not Path(start).is_file():
        raise UserError(f"Field 'start' takes random, cosines or a file of weights, not '{start}'.")
    return load_low_level(start)


def read_sets(config: LowLevelTraining, device: torch.device) -> VersionPairs:
    """The images of all sets, with FSIM of their versions (minutes where it is new) and targets.

    Raises:
        UserError: a set that cannot be trained on, or none.
    """
    if not config.data:
        raise UserError("No set is named; use --set data=DIR (several with commas).")
    sets = [find_version_folders(root, config.skip_unreadable, say) for root in config.data]
    folders = [folder for found in sets for folder in found]
    regressed = config.objective == "targets"
    # The names of all sets are read before the first FSIM, so that wrong ones are said at once.
    levels = [version_levels(folder) for folder in folders] if regressed else []
    matrices = [
        matrix
        for root, found in zip(config.data, sets, strict=True)
        for matrix in annotator_matrices(root, found, device)
    ]
    if not regressed:
        return VersionPairs(folders, matrices, config)
    rows = [matrix[folder.reference] for matrix, folder in zip(matrices, folders, strict=True)]
    targets = [distortion_targets(*pair) for pair in zip(levels, rows, strict=True)]
    return VersionPairs(folders, matrices, config, targets)


def learning_rates(
    optimiser: torch.optim.Optimizer, config: LowLevelTraining, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """Of each cycle a straight rise over `config.warmup_steps`, then half a cosine; `steps` in all."""
    length = steps // (config.warm_restarts + 1)
    rise = min(config.warmup_steps, length - 1)
    parts: list[torch.optim.lr_scheduler.LRScheduler] = []
    milestones = []
    for cycle in range(config.warm_restarts + 1):
        if rise:
            parts.append(torch.optim.lr_scheduler.LinearLR(optimiser, 1 / (rise + 1), total_iters=rise))
            milestones.append(cycle * length + rise)
        parts.append(
            torch.optim.lr_scheduler.CosineAnnealingLR(
                optimiser, T_max=length - rise, eta_min=config.final_learning_rate
            )
        )
        milestones.append((cycle + 1) * length)
    return torch.optim.lr_scheduler.SequentialLR(optimiser, parts, milestones[:-1])


def _digest(dataset: VersionPairs) -> str:
    """SHA-256 of the names of folders and files and of what FSIM sees in them."""
    digest = hashlib.sha256()
    for folder, matrix in zip(dataset.folders, dataset.matrices, strict=True):
        digest.update(repr([folder.path.name, *(file.name for file in folder.files)]).encode())
        digest.update(matrix.tobytes())
    return digest.hexdigest()


def low_level_loss(
    model: torch.nn.Module,
    batch: Batch,
    config: LowLevelTraining,
    device: torch.device,
    precision: torch.dtype,
    layout: torch.memory_format,
) -> torch.Tensor:
    """The loss of a batch: a mean over all rows; for the contrast images with equal D are stacked.

    For the contrast each view passes the network by itself, so that BatchNorm sees one view at a time, as
    in the release; distortion targets compare no views, and all images pass at once.
    """

    def features(views: torch.Tensor) -> torch.Tensor:
        with autocast(device, precision):
            return model(views.to(device, memory_format=layout, non_blocking=True)).float()

    views = (batch.images, batch.augmentations)  # (sum of D, 3, S, S) each
    if config.objective == "targets":
        return distortion_target_loss(features(torch.cat(views)), batch.targets.to(device).repeat(2, 1))
    counts = [len(similarity) for similarity in batch.similarities]
    images, augmentations = (features(view).split(counts) for view in views)
    by_count: dict[int, list[int]] = defaultdict(list)
    for place, count in enumerate(counts):
        by_count[count].append(place)
    total = torch.zeros((), device=device)
    for count, places in by_count.items():
        total = total + len(places) * count * quality_aware_loss(
            torch.stack([images[place] for place in places]),
            torch.stack([augmentations[place] for place in places]),
            torch.stack([batch.similarities[place] for place in places]).to(device),
            config.temperature,
            config.alpha_exponent,
            config.loss_form,
        )
    return total / sum(counts)
