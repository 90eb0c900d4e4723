"""JPEG on the way to the reader."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from datasets.distorted.jpeg_augmentation import QUALITIES, through_jpeg
from datasets.version_pairs import seeded_generator


def images(count=200):
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(0)).mul(255).round() / 255


def test_share_of_pictures_is_compressed_and_the_others_are_untouched():
    before = images()
    after = through_jpeg(before, 0.75, seeded_generator(1))
    changed = (before != after).flatten(1).any(1)
    assert 0.65 < changed.float().mean() < 0.85
    assert after.min() >= 0 and after.max() <= 1
    assert torch.equal(through_jpeg(before, 0.0, seeded_generator(1)), before)
    assert torch.equal(through_jpeg(before, 0.75, seeded_generator(1)), after)
    assert torch.equal(before, images())


def test_what_comes_out_is_a_jpeg_of_the_documented_qualities():
    (before,) = images(1)
    pixels = (before * 255).byte().permute(1, 2, 0).numpy()
    possible = set()
    for quality in range(QUALITIES[0], QUALITIES[1] + 1):
        for subsampling in (0, 2):
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=subsampling)
            possible.add(np.asarray(Image.open(file)).tobytes())
    found = set()
    for seed in range(300):
        after = through_jpeg(before[None], 1.0, seeded_generator(seed))[0]
        found.add((after * 255).round().byte().permute(1, 2, 0).numpy().tobytes())
    assert found <= possible
    # Both ends and both subsamplings are drawn: 33 qualities x 2, some of equal bytes.
    assert len(found) > 45


def test_a_draw_does_not_move_the_next_one():
    before = images(8)
    some, all_ = (through_jpeg(before, share, seeded_generator(5)) for share in (0.5, 1.0))
    changed = (some != before).flatten(1).any(1)
    assert 0 < changed.sum() < 8
    assert torch.equal(some[changed], all_[changed])


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_outside_0_to_1_is_refused(share):
    from configs import LowLevelTraining, UserError

    with pytest.raises(UserError, match="'jpeg_augmentation' takes a share"):
        LowLevelTraining(jpeg_augmentation=share)
