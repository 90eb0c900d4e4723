"""The view at which the extended score looks at an image."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from configs import Settings
from Evaluation.extended.view import MOST_PIXELS, to_view, view_size
from utils.errors import UserError

SETTINGS = Settings()


@given(st.integers(96, 9000), st.integers(96, 9000))
@settings(max_examples=100, deadline=None)
def test_a_large_image_is_seen_at_about_a_megapixel(height, width):
    if max(height, width) > 10 * min(height, width):
        return
    found = view_size(height, width, SETTINGS)
    assert found == view_size(width, height, SETTINGS)[::-1]
    if height * width <= MOST_PIXELS:
        assert found == (height, width)
    else:
        assert found[0] * found[1] == pytest.approx(MOST_PIXELS, rel=0.01)
        assert found[0] / found[1] == pytest.approx(height / width, rel=0.01)


def test_the_size_of_a_view():
    assert view_size(3000, 4000, SETTINGS) == (866, 1155)
    assert view_size(3000, 4000, Settings(view="full")) == (3000, 4000)
    assert view_size(48, 60, SETTINGS) == (96, 120)
    # So narrow that a megapixel of it would hold no patch.
    assert view_size(200, 40_000, SETTINGS) == (96, 19_200)
    with pytest.raises(UserError, match="narrow"):
        view_size(4, 60_000, SETTINGS)


def test_an_image_is_left_alone_or_told():
    own = torch.rand(3, 100, 200)
    seen, note = to_view(own, (100, 200), SETTINGS)
    assert seen is own and note == ""
    for image in (torch.full((3, 1000, 4000), 0.5), torch.full((3, 700, 2800), 0.5)):
        seen, note = to_view(image, (1000, 4000), SETTINGS)
        assert seen.shape == (3, 500, 2000) and note == "viewed at 2000x500"
        torch.testing.assert_close(seen, torch.full((3, 500, 2000), 0.5))
    assert to_view(torch.rand(3, 48, 96), (48, 96), SETTINGS)[1] == "enlarged to 192x96"


def test_what_was_made_smaller_already_is_left_alone():
    """Rounded, the view of this size is above a megapixel itself."""
    assert view_size(1660, 2753, SETTINGS) == (777, 1289)
    seen, note = to_view(torch.rand(3, 777, 1289), (1660, 2753), SETTINGS)
    assert seen.shape[1:] == (777, 1289) and note == "viewed at 1289x777"
