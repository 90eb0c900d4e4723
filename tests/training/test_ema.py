"""The mean of the weights over steps against the plain recursion."""

import torch

from training.ema import averaged


def test_the_mean_follows_the_recursion_with_its_quick_start():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    average = averaged(model, 0.5)
    expected, statistics = None, None
    for update in range(20):
        with torch.no_grad():
            model[0].weight.add_(torch.randn(2, 3))
        model(torch.randn(5, 3))  # moves BatchNorm's statistics
        average.update_parameters(model)
        weight, mean = model[0].weight.detach().clone(), model[1].running_mean.clone()
        if update == 0:
            expected, statistics = weight, mean
        else:
            factor = min(0.5, (update + 1) / (update + 10))
            expected = factor * expected + (1 - factor) * weight
            statistics = factor * statistics + (1 - factor) * mean
    torch.testing.assert_close(average.module[0].weight, expected)
    torch.testing.assert_close(average.module[1].running_mean, statistics)
    assert average.module[1].num_batches_tracked == 20
