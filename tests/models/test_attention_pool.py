"""The attention pool against the package's own, which adds its embedding always, and its properties."""

import pytest
import torch

from models.attention_pool import AttentionPool, resize_positions
from models.weights.clip import import_clip


@pytest.fixture
def stock():
    """CLIP's own pool on 2 x 2 cells of 64 channels, with biases that are not zero."""
    pool = import_clip().model.AttentionPool2d(2, 64, 4, 16).double()
    for parameter in pool.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return pool


def test_equal_to_the_package_on_its_own_grid(stock):
    maps = torch.randn(3, 64, 2, 2, dtype=torch.float64)
    torch.testing.assert_close(AttentionPool(stock, "interpolate")(maps), stock(maps), rtol=0, atol=1e-12)
    assert (AttentionPool(stock, "none")(maps) - stock(maps)).abs().max() > 0.01


def test_gradients_equal_the_packages(stock):
    maps = torch.randn(3, 64, 2, 2, dtype=torch.float64, requires_grad=True)
    target = torch.randn(3, 16, dtype=torch.float64)
    names = [name for name, _ in stock.named_parameters() if name != "k_proj.bias"]
    wanted = [maps, *(stock.get_parameter(name) for name in names)]
    theirs = torch.autograd.grad((stock(maps) * target).sum(), wanted)
    ours = torch.autograd.grad((AttentionPool(stock, "interpolate")(maps) * target).sum(), wanted)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (5, 3), (3, 5)])
def test_without_positions_any_map_equals_the_package_with_an_embedding_of_zeros(stock, height, width):
    maps = torch.randn(2, 64, height, width, dtype=torch.float64)
    ours = AttentionPool(stock, "none")(maps)
    stock.positional_embedding = torch.nn.Parameter(torch.zeros(1 + height * width, 64, dtype=torch.float64))
    torch.testing.assert_close(ours, stock(maps), rtol=0, atol=1e-12)


def test_without_positions_the_order_of_cells_does_not_count_with_them_it_does(stock):
    maps = torch.randn(1, 64, 4, 6, dtype=torch.float64)
    turned = maps.flip(-1)
    torch.testing.assert_close(AttentionPool(stock, "none")(maps), AttentionPool(stock, "none")(turned))
    pool = AttentionPool(stock, "interpolate")
    assert (pool(maps) - pool(turned)).abs().max() > 1e-3


def test_resized_positions_keep_rows_and_columns_apart():
    grid = torch.arange(3.0).view(3, 1).expand(3, 3)  # the row's number in each cell of a 3 x 3 grid
    embedding = torch.cat([torch.tensor([9.0]), grid.flatten()])[:, None]  # (10, 1)
    resized = resize_positions(embedding, 3, 6)
    assert resized.shape == (19, 1)
    assert resized[0] == 9
    torch.testing.assert_close(resized[1:].view(3, 6), torch.arange(3.0).view(3, 1).expand(3, 6))
    tall = resize_positions(embedding, 6, 3)[1:].view(6, 3)
    assert (tall[1:] >= tall[:-1]).all() and (tall[:, 0] == tall[:, 2]).all()


def test_names_of_the_parameters_are_clips(stock):
    assert set(AttentionPool(stock, "none").state_dict()) == set(stock.state_dict())
