"""The mean score of images as a metric of torchmetrics, which is needed for this module alone."""

from __future__ import annotations

from typing import Any

import torch

from configs import Settings
from Evaluation.grepq import GRepQ

try:
    from torchmetrics import Metric
except ImportError:
    raise ImportError("GRepQMetric needs torchmetrics: 'pip install torchmetrics'.") from None

# Arguments of torchmetrics' own; all others are settings of the model.
OWN = {"compute_on_cpu", "compute_with_cache", "dist_sync_fn", "dist_sync_on_step", "process_group"}
OWN |= {"distributed_available_fn", "sync_on_compute"}
HIGHEST = {"Q_low": 0.5, "Q_high": 1.0, "Q": 1.5}


class GRepQMetric(Metric):
    """Mean score of all images, float64, higher is better: Q, or that of the one branch that there is.

    Images are scored on the model's device, wherever they are; the mean is over those of all processes.

    >>> metric = GRepQMetric(branch="low", device="cpu")
    >>> metric.update(torch.rand(2, 3, 120, 120))
    >>> 0 < metric.compute() < 0.5
    tensor(True)
    """

    higher_is_better = True
    is_differentiable = False  # `GRepQ.loss` is
    full_state_update = False
    plot_lower_bound = 0.0
    score_sum: torch.Tensor
    count: torch.Tensor

    def __init__(self, model: GRepQ | None = None, **fields: Any) -> None:
        """Read the weights, once; clones share them, and a pickle takes the settings along.

        Args:
            model: one that is there already; None: that of `fields`.
            fields: of `configs.Settings`, as `GRepQ.from_pretrained` takes them, and those of `OWN`.

        Raises:
            UserError: an unknown field, or weights that cannot be used.
        """
        super().__init__(**{name: fields.pop(name) for name in OWN & set(fields)})
        if model is not None and fields:
            raise TypeError(f"A model or settings, not both: {', '.join(fields)}.")
        self._held = _Held((model or GRepQ.from_pretrained(**fields)).load())
        self.add_state("score_sum", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    @property
    def plot_upper_bound(self) -> float:  # type: ignore[override]
        """The score that no image exceeds."""
        return HIGHEST[self._held.model.score_name]

    def update(self, images: torch.Tensor) -> None:
        """Score images (N, 3, H, W), or one (3, H, W): uint8, or floats in [0, 1].

        Raises:
            UserError: they are no images; nothing of them is counted.
        """
        scores = self._held.model.score(images)
        for one in scores if isinstance(scores, list) else [scores]:
            self.score_sum += next(value for value in (one.q, one.q_low, one.q_high) if value is not None)
            self.count += 1

    def compute(self) -> torch.Tensor:
        """The mean (), NaN of no image."""
        return self.score_sum / self.count


class _Held:
    """A model that is no part of the metric's state: not copied with it, and by its settings in a pickle."""

    def __init__(self, model: GRepQ | Settings) -> None:
        self.model = GRepQ(model) if isinstance(model, Settings) else model

    def __deepcopy__(self, memo: dict[int, Any]) -> _Held:
        return self

    def __reduce__(self) -> tuple[Any, tuple[Settings]]:
        return _Held, (self.model.settings,)
