"""The regression on distortion targets."""

import math

import pytest
import torch

from losses.distortion_targets import distortion_target_loss


def test_loss_equals_the_plain_sum_over_known_targets():
    generator = torch.Generator().manual_seed(0)
    features, targets = torch.randn(5, 7, generator=generator), torch.randn(5, 4, generator=generator)
    targets[1, 0] = targets[3, 0] = targets[2, 3] = math.nan
    total, known = 0.0, 0
    for n in range(5):
        for k in range(4):
            if not math.isnan(targets[n, k]):
                total += (4 if k < 2 else 1) * (features[n, k] - targets[n, k]).item() ** 2
                known += 1
    assert distortion_target_loss(features, targets).item() == pytest.approx(total / known, rel=1e-6)


def test_unknown_targets_and_free_features_get_no_gradient():
    features = torch.zeros(2, 5, requires_grad=True)
    targets = torch.tensor([[1.0, math.nan, 1.0], [math.nan, 1.0, 1.0]])
    distortion_target_loss(features, targets).backward()
    assert torch.equal(features.grad != 0, torch.tensor([[1, 0, 1, 0, 0], [0, 1, 1, 0, 0]], dtype=torch.bool))
    assert features.grad.isfinite().all()
    assert features.grad[0, 0] == 4 * features.grad[0, 2]
