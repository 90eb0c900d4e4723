"""The quality-aware loss against the authors' values and gradients, and against a plain double loop."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from losses.quality_aware import alpha_weights, quality_aware_loss

FORMS = {"in": "inside", "out": "outside"}


def inputs_of(numbers, name, dtype=torch.float64):
    images, augmentations, matrix = (
        torch.from_numpy(numbers[f"qacl_{name}_{part}"]).to(dtype)
        for part in ("images", "augmentations", "matrix")
    )
    return images.requires_grad_(), augmentations.requires_grad_(), matrix


@pytest.mark.parametrize("name", ["in0", "in1", "in2", "in3"])
@pytest.mark.parametrize("temperature", [0.5, 0.1])
@pytest.mark.parametrize("form", FORMS)
def test_value_and_gradients_equal_the_authors(parity, name, temperature, form):
    numbers = parity("losses")
    key = f"qacl_{name}_tau{temperature}_{form}"
    images, augmentations, matrix = inputs_of(numbers, name)
    loss = quality_aware_loss(images, augmentations, matrix, temperature, form=FORMS[form])
    loss.backward()
    assert loss.item() == pytest.approx(numbers[f"{key}_loss"].item(), abs=1e-10)
    np.testing.assert_allclose(images.grad, numbers[f"{key}_grad_images"], rtol=0, atol=1e-10)
    np.testing.assert_allclose(augmentations.grad, numbers[f"{key}_grad_augmentations"], rtol=0, atol=1e-10)
    single = quality_aware_loss(*inputs_of(numbers, name, torch.float32), temperature, form=FORMS[form])
    assert single.item() == pytest.approx(numbers[f"{key}_loss_float32"].item(), abs=2e-6)


def test_a_feature_of_length_zero_has_a_finite_loss(parity):
    numbers = parity("losses")
    images, augmentations, matrix = inputs_of(numbers, "zero")
    loss = quality_aware_loss(images, augmentations, matrix)
    loss.backward()
    assert loss.item() == pytest.approx(numbers["qacl_zero_loss"].item(), abs=1e-10)
    np.testing.assert_allclose(images.grad, numbers["qacl_zero_grad_images"], rtol=1e-9)


def plain_loss(images, augmentations, matrix, temperature, exponent, form):
    """The formula of the docstring, one pair at a time."""
    batch, count = matrix.shape[:2]
    total = 0.0
    for b in range(batch):
        f = [row / row.norm() for row in images[b]]
        g = [row / row.norm() for row in augmentations[b]]
        s = [[(f[i] @ g[j]).item() / temperature for j in range(count)] for i in range(count)]
        a = [
            [(2 - 2 / (1 + matrix[b, i, j].item() ** 2)) ** exponent for j in range(count)]
            for i in range(count)
        ]
        for along in (s, [list(column) for column in zip(*s, strict=True)]):
            weights = a if along is s else [list(column) for column in zip(*a, strict=True)]
            for logits, alphas in zip(along, weights, strict=True):
                normaliser = sum(math.exp(v) for v in logits)
                if form == "inside":
                    inside = sum(w * math.exp(v) for w, v in zip(alphas, logits, strict=True))
                    total -= math.log(inside / normaliser) / (batch * count)
                else:
                    terms = (w * (v - math.log(normaliser)) for w, v in zip(alphas, logits, strict=True))
                    total -= sum(terms) / (batch * count * count)
    return total


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 3), st.integers(1, 5), st.floats(0.05, 2), st.floats(0.5, 8),
    st.sampled_from(["inside", "outside"]), st.integers(0, 2**31),
)  # fmt: skip
def test_equal_to_a_double_loop(batch, count, temperature, exponent, form, seed):
    generator = torch.Generator().manual_seed(seed)
    images, augmentations = torch.randn(2, batch, count, 16, generator=generator, dtype=torch.float64)
    # Not symmetric, so that rows taken for columns would be seen.
    matrix = torch.rand(batch, count, count, generator=generator, dtype=torch.float64) * 0.9 + 0.1
    expected = plain_loss(images, augmentations, matrix, temperature, exponent, form)
    loss = quality_aware_loss(images, augmentations, matrix, temperature, exponent, form)
    assert loss.item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_gradients_equal_finite_differences():
    images, augmentations = torch.randn(2, 1, 3, 4, dtype=torch.float64).requires_grad_().unbind()
    matrix = torch.rand(1, 3, 3, dtype=torch.float64)
    for form in FORMS.values():
        assert torch.autograd.gradcheck(
            lambda f, g, form=form: quality_aware_loss(f, g, matrix, 0.2, 4.0, form),
            (images.detach().requires_grad_(), augmentations.detach().requires_grad_()),
        )


def test_small_temperatures_and_versions_without_likeness_stay_finite():
    images = torch.eye(4)[None].requires_grad_()
    for form in FORMS.values():
        loss = quality_aware_loss(images, torch.eye(4)[None].flip(1), torch.eye(4)[None], 0.001, 6.0, form)
        loss.backward()
        assert loss.isfinite()
        assert images.grad.isfinite().all()
    assert loss > 100  # e^1000 overflows float32 where the sum is not of logarithms


def test_alpha_at_its_ends():
    assert alpha_weights(torch.tensor([0.0, 1.0])).tolist() == [0.0, 1.0]
    assert alpha_weights(torch.tensor(0.7), 4.0).item() == pytest.approx((2 - 2 / 1.49) ** 4, abs=1e-6)
