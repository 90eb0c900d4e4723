"""The group contrastive loss and the choice of groups against the authors' numbers and the plain formula."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from losses.group_contrastive import choose_groups, group_contrastive_loss
from models.high_level import antonym_quality


def double_loop(low, high, temperature):
    """The formula of method.md, term by term."""
    groups = [[row / row.norm() for row in group] for group in (low, high)]
    terms = []
    for own, other in (groups, groups[::-1]):
        for n, member in enumerate(own):
            p = sum(float(member @ mate) for m, mate in enumerate(own) if m != n) / (len(own) - 1)
            negatives = sum(math.exp(float(member @ stranger) / temperature) for stranger in other)
            terms.append(-math.log(math.exp(p / temperature) / (math.exp(p / temperature) + negatives)))
    return sum(terms) / len(terms)


@pytest.mark.parametrize("size", [2, 4, 8, 16])
@pytest.mark.parametrize("name", ["0.5", "0.1"])
def test_values_and_gradients_equal_the_authors(parity, size, name):
    numbers, key = parity("losses"), f"gcl{size}_t{name}"
    temperature = float(np.float32(name))  # theirs is a float32 buffer
    low, high = (torch.from_numpy(numbers[f"gcl{size}_emb_{part}"]).requires_grad_() for part in "ij")
    loss = group_contrastive_loss(low, high, temperature)
    loss.backward()
    assert loss.item() == pytest.approx(float(numbers[f"{key}_loss"]), abs=1e-10)
    np.testing.assert_allclose(low.grad, numbers[f"{key}_grad_i"], atol=1e-10)
    np.testing.assert_allclose(high.grad, numbers[f"{key}_grad_j"], atol=1e-10)
    single = group_contrastive_loss(low.detach().float(), high.detach().float(), temperature)
    assert single.item() == pytest.approx(float(numbers[f"{key}_loss_float32"]), abs=1e-6)


@given(st.integers(2, 6), st.integers(1, 5), st.integers(0, 1000), st.sampled_from([0.05, 0.5, 2.0]))
def test_equal_to_the_double_loop_and_symmetric(size, length, seed, temperature):
    generator = torch.Generator().manual_seed(seed)
    low, high = torch.randn(2, size, length, generator=generator, dtype=torch.float64)
    loss = group_contrastive_loss(low, high, temperature)
    assert loss.item() == pytest.approx(double_loop(low, high, temperature), rel=1e-9)
    assert group_contrastive_loss(high, low, temperature).item() == pytest.approx(loss.item(), rel=1e-12)


def test_a_small_temperature_does_not_overflow():
    low, high = torch.eye(2), -torch.eye(2)
    assert group_contrastive_loss(low, low, 1e-3).isfinite()
    assert group_contrastive_loss(low, high, 1e-3).isfinite()


def test_one_member_and_unequal_groups_are_refused():
    with pytest.raises(ValueError, match="2 members or more"):
        group_contrastive_loss(torch.ones(1, 4), torch.ones(1, 4))
    with pytest.raises(ValueError, match="Two groups of one size"):
        group_contrastive_loss(torch.ones(2, 4), torch.ones(3, 4))


@pytest.mark.parametrize("case", ["a", "b", "c", "ties"])
def test_groups_equal_the_authors(parity, case):
    numbers = {key: parity("losses")[f"group_{case}_{key}"] for key in
               ("features", "text", "quality_f32", "order", "arg_i", "arg_j")}  # fmt: skip
    quality = antonym_quality(torch.from_numpy(numbers["features"]), torch.from_numpy(numbers["text"])[None])
    np.testing.assert_allclose(quality, numbers["quality_f32"], atol=1e-6)
    low, high = choose_groups(quality, len(numbers["arg_i"]))
    assert low.tolist() == numbers["arg_i"].tolist()
    assert high.tolist() == numbers["arg_j"].tolist()


def test_groups_share_no_picture():
    low, high = choose_groups(torch.tensor([3.0, 1.0, 2.0, 4.0]), 2)
    assert (low.tolist(), high.tolist()) == ([1, 2], [3, 0])
    with pytest.raises(ValueError, match="4 images are too few for two groups of 3"):
        choose_groups(torch.arange(4.0), 3)


def test_pairs_of_prompts_are_averaged():
    features, text = torch.randn(5, 8), torch.randn(3, 2, 8)
    one_by_one = torch.stack([antonym_quality(features, pair[None]) for pair in text])
    torch.testing.assert_close(antonym_quality(features, text), one_by_one.mean(0))
    cosine = torch.nn.functional.cosine_similarity
    first = cosine(features, text[0, 0][None]) - cosine(features, text[0, 1][None])
    torch.testing.assert_close(one_by_one[0], 1 / (1 + torch.exp(-10 * first)))
