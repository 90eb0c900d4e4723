"""The mean of the weights over steps, which a run exports where it is asked for."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch.optim.swa_utils import AveragedModel


@torch.no_grad()
def between(first: torch.nn.Module, second: torch.nn.Module, share: float) -> torch.nn.Module:
    """A network whose weights and BatchNorm statistics are `share first + (1 - share) second`.

    `first` and `second` are of one kind; what is no floating-point number is as in `second`. Of a network and
    what it became on another set, such a mean does better on a third kind of images than either, as
    Wortsman et al. (Robust fine-tuning of zero-shot models, CVPR 2022) found.
    """
    mean = copy.deepcopy(second)
    origin = first.state_dict()
    for name, value in mean.state_dict().items():
        if value.is_floating_point():
            value.lerp_(origin[name].to(value), share)
    return mean


def averaged(model: torch.nn.Module, factor: float) -> AveragedModel:
    """A copy of `model` that follows it: `mean = f mean + (1 - f) weights` at each update after the first.

    f is `factor`, in (0, 1), and less over the first updates, min(factor, (n + 1) / (n + 10)) at update
    n (the first, 0, copies), so that the weights of the start are soon forgotten. BatchNorm's statistics
    are averaged too.
    """

    @torch.no_grad()
    def update(
        means: Sequence[torch.Tensor], weights: Sequence[torch.Tensor], done: torch.Tensor | int
    ) -> None:
        count = float(done)
        share = 1 - min(factor, (count + 1) / (count + 10))
        for mean, weight in zip(means, weights, strict=True):
            if mean.is_floating_point():
                mean.lerp_(weight, share)
            else:  # BatchNorm's count of batches
                mean.copy_(weight)

    return AveragedModel(model, multi_avg_fn=update, use_buffers=True)
