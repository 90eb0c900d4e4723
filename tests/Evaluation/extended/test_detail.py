"""Detail: told by hand, and what it sees of blur, of light and of a sky."""

import pytest
import synthetic_inputs as inputs
import torch
from scipy import ndimage

from Evaluation.extended.detail import detail, lack_of_detail


def test_by_hand():
    """Stripes of two pixels, and a step of .5 from the left three blocks to the right one."""
    view = torch.zeros(3, 64, 128)
    view[:, :, 2::4] = view[:, :, 3::4] = 0.2
    view[:, :, 96:] += 0.5
    # Across 63 of 127 neighbours differ by .2, that at the step by .3; of blocks one of 3 by .5; down none.
    fine, coarse = (62 * 0.2 + 0.3) / 127, 0.5 / 3
    assert detail(view).item() == pytest.approx(fine * 0.9999 / (coarse * 0.9999), rel=1e-3)


def test_blur_takes_it_and_light_does_not():
    image = torch.from_numpy(inputs.to_uint8(inputs.structured(3, 200, 300)).copy()).permute(2, 0, 1) / 255
    found = [
        detail(torch.from_numpy(ndimage.gaussian_filter(image.numpy(), (0, s, s)))) for s in (0, 1, 2, 4, 8)
    ]
    assert found == sorted(found, reverse=True) and found[-1] < found[0] / 4
    assert detail(image * 0.4).item() == pytest.approx(detail(image).item(), rel=0.01)


@pytest.mark.parametrize("size", [(32, 32), (96, 200)])
def test_a_flat_image_does_not_lack_it(size):
    assert detail(torch.full((3, *size), 0.7)) == 1


def test_lack_of_detail():
    found = torch.tensor([0.02, 0.01, 0.001], dtype=torch.float64)
    assert lack_of_detail(found, 0.01).tolist() == pytest.approx([0, 0, 2.302585], rel=1e-6)
    assert lack_of_detail(found, 0.0).tolist() == [0, 0, 0]
