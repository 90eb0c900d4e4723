"""One step by several processes that torchrun started: the batch is global, each reads its part of it.

Every process computes the same loss from the features of all. Backward sums its gradient over the
processes where features or statistics were gathered, so each ends with `processes()` times its own share
of the parameters' gradient, and their mean is that of one process with the whole batch.
"""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import distributed, nn

from models.ranks import processes, rank

T = TypeVar("T")


def own_part(batch: list[T]) -> list[T]:
    """This process's part of a batch whose length is a multiple of `processes()`."""
    count = len(batch) // processes()
    start = count * rank()
    return batch[start : start + count]


class _Gather(torch.autograd.Function):
    """(N, ...) of each process -> (processes, N, ...), equal in all; backward sums over the processes."""

    @staticmethod
    def forward(_: Any, own: torch.Tensor) -> torch.Tensor:
        parts = [torch.empty_like(own) for _ in range(processes())]
        distributed.all_gather(parts, own.contiguous())
        return torch.stack(parts)

    @staticmethod
    def backward(_: Any, gradient: torch.Tensor) -> torch.Tensor:
        gradient = gradient.contiguous()
        distributed.all_reduce(gradient)
        return gradient[distributed.get_rank()]


def gather_with_gradient(own: torch.Tensor) -> torch.Tensor:
    """The rows (N, ...) of all processes in the order of the batch: (processes * N, ...)."""
    return own if processes() == 1 else _Gather.apply(own).flatten(0, 1)


def average_gradients(model: nn.Module) -> None:
    """Replace each parameter's gradient by its mean over the processes.

    DistributedDataParallel would too, but stops at parameters that get no gradient, as the biases of the keys
    do and, with positions=none, the positional embedding.
    """
    if processes() == 1:
        return
    for parameter in model.parameters():
        if parameter.grad is not None:
            distributed.all_reduce(parameter.grad)
            parameter.grad /= processes()


class SharedBatchNorm(nn.BatchNorm2d):
    """BatchNorm that in training takes its statistics over the parts of all processes, on any device.

    torch's SyncBatchNorm does so on GPUs only, and refuses the tensors of a processor.
    """

    running_mean: torch.Tensor
    running_var: torch.Tensor
    num_batches_tracked: torch.Tensor
    momentum: float

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps (N, C, H, W) normalised; N, H and W are the same in all processes."""
        if not self.training or processes() == 1:
            return super().forward(maps)
        wide = maps.float()
        own = torch.stack(torch.var_mean(wide, (0, 2, 3), correction=0))  # (2, C)
        variances, means = _Gather.apply(own).unbind(1)  # (processes, C)
        mean = means.mean(0)
        variance = variances.mean(0) + (means - mean).square().mean(0)
        with torch.no_grad():
            count = maps.numel() // len(mean) * processes()
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        return ((wide - mean[:, None, None]) * scale[:, None, None] + self.bias[:, None, None]).to(maps.dtype)


def share_batch_norm(model: nn.Module) -> None:
    """Put a `SharedBatchNorm` in the place of each BatchNorm, with its parameters under the same names."""
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.BatchNorm2d:
                shared = SharedBatchNorm(child.num_features, child.eps, child.momentum)
                shared.load_state_dict(child.state_dict())
                shared.weight, shared.bias = child.weight, child.bias
                setattr(parent, name, shared.to(child.weight.device).train(child.training))
