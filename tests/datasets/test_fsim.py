"""FSIM against piq 0.8.0's values: 1e-9 in float64, 1e-6 in float32."""

import numpy as np
import pytest
import synthetic_inputs as inputs
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.fsim import describe, fsim, fsim_matrix


def image(array, dtype=torch.float64):
    return torch.from_numpy(array).permute(2, 0, 1)[None].to(dtype)


def pair(case, kind):
    height, width, seed = (int(v) for v in case)
    x = inputs.structured(seed, height, width)
    distort = {
        "noise05": lambda: inputs.noise(x, seed + 50, 0.05),
        "noise15": lambda: inputs.noise(x, seed + 50, 0.15),
        "blur1": lambda: inputs.blur(x, 1),
        "blur3": lambda: inputs.blur(x, 3),
        "fade": lambda: inputs.fade(x, 0.5, 0.2),
        "block4": lambda: inputs.block(x, 4),
        "same": lambda: x,
    }
    return image(x), image(distort[str(kind)]())


def test_fsim_equals_the_authors_in_all_cases_and_both_forms(parity):
    numbers = parity("fsim")
    for n, (case, kind) in enumerate(zip(numbers["fsim_case"], numbers["fsim_kind"], strict=True)):
        x, y = pair(case, kind)
        assert fsim(x, y).item() == pytest.approx(numbers["fsim_c"][n], abs=1e-9)
        assert fsim(y, x).item() == pytest.approx(numbers["fsim_c"][n], abs=1e-9)
        assert fsim(x, y, chromatic=False).item() == pytest.approx(numbers["fsim_y"][n], abs=1e-9)
        assert fsim(x.float(), y.float()).item() == pytest.approx(numbers["fsim_c_float32"][n], abs=1e-6)


def test_flat_pictures(parity):
    numbers = parity("fsim")
    flat = torch.full((1, 3, 64, 64), 0.5, dtype=torch.float64)
    assert fsim(flat, flat).item() == pytest.approx(numbers["fsim_flat_same"].item(), abs=1e-9)
    assert fsim(flat, flat / 2).item() == pytest.approx(numbers["fsim_flat_differs"].item(), abs=1e-9)
    structured = image(inputs.structured(100, 64, 64))
    assert fsim(flat, structured).item() == pytest.approx(numbers["fsim_flat_vs_structured"].item(), abs=1e-9)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_gpu_gives_the_same_values(parity):
    versions = torch.from_numpy(inputs.nine_versions(1010, 260, 300)).permute(0, 3, 1, 2).double() / 255
    expected = parity("fsim")["matrix_large_f64"]
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-6)):
        matrix = fsim_matrix(versions.to("cuda", dtype)).cpu().numpy()
        np.testing.assert_allclose(matrix, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize(("name", "arguments"), [("small", (1000, 128, 160)), ("large", (1010, 260, 300))])
def test_matrix_of_nine_versions(parity, name, arguments):
    versions = torch.from_numpy(inputs.nine_versions(*arguments)).permute(0, 3, 1, 2).double() / 255
    expected = parity("fsim")[f"matrix_{name}_f64"]
    np.testing.assert_allclose(fsim_matrix(versions).numpy(), expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(fsim_matrix(versions.float()).numpy(), expected, rtol=0, atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(st.integers(20, 70), st.integers(20, 70), st.integers(0, 2**31))
def test_matrix_is_symmetric_within_bounds_and_does_not_depend_on_the_batch(height, width, seed):
    generator = torch.Generator().manual_seed(seed)
    versions = torch.rand(4, 3, height, width, generator=generator, dtype=torch.float64)
    matrix = fsim_matrix(versions)
    assert torch.equal(matrix, matrix.T)
    assert (matrix.diagonal() == 1).all()
    assert ((matrix > 0) & (matrix <= 1)).all()
    assert fsim(versions[1:2], versions[3:]).item() == pytest.approx(matrix[1, 3].item(), abs=1e-12)


def test_a_picture_is_described_at_the_sub_sampled_size():
    assert describe(torch.zeros(1, 3, 384, 512)).gradient.shape == (1, 192, 256)  # 1.5 rounds to 2
    assert describe(torch.zeros(1, 3, 640, 650)).gradient.shape == (1, 320, 325)  # 2.5 rounds to 2
