"""Values that are no image, or an odd one, given to the model from Python."""

import numpy as np
import pytest
import torch
from made_images import MODES, image
from PIL import Image

from Evaluation import GRepQ
from utils.errors import UserError

GREY = np.full((100, 120), 0.5, np.float32)
WRONG = {
    "nan": (GREY * np.nan, r"Floats of an image lie in \[0, 1\], these from nan to nan"),
    "one nan": (np.where(np.arange(120) == 7, np.nan, GREY), r"Floats of an image lie in \[0, 1\]"),
    "infinite": (GREY * np.inf, "these from inf to inf"),
    "negative": (GREY - 0.6, "these from -0.1 to -0.1: scale them"),
    "in bytes": (GREY * 255, "these from 127.5 to 127.5: scale them"),
    "whole": (np.zeros((100, 120), np.int64), "An image of int64 has no defined white"),
    "signed": (np.zeros((100, 120, 3), np.int16), "An image of int16 has no defined white"),
    "truth": (np.zeros((100, 120), bool), "An image of bool has no defined white"),
    "complex": (np.zeros((100, 120), complex), "An image of complex128 has no defined white"),
    "objects": (np.full((100, 120), None), "An image of object has no defined white"),
    "text": (np.full((100, 120), "x"), "An image of <U1 has no defined white"),
    "empty": (np.zeros((0, 120, 3), np.uint8), r"An array of shape \(0, 120, 3\) is no image"),
    "no width": (np.zeros((100, 0), np.uint8), r"An array of shape \(100, 0\) is no image"),
    "planes first": (np.zeros((3, 100, 120), np.uint8), r"An array of shape \(3, 100, 120\) is no image"),
    "four bands": (np.zeros((100, 120, 4), np.uint8), "is no image"),
    "one axis": (np.zeros(100, np.uint8), r"An array of shape \(100,\) is no image"),
    "four axes": (np.zeros((1, 100, 120, 3), np.uint8), "is no image"),
    "scalar": (np.zeros((), np.uint8), r"An array of shape \(\) is no image"),
    "half nan": (torch.full((3, 100, 120), torch.nan, dtype=torch.float16), "these from nan"),
    "tensor in bytes": (torch.full((3, 100, 120), 255.0), "these from 255 to 255: scale them"),
    "tensor of integers": (torch.zeros(3, 100, 120, dtype=torch.int32), "has no defined white"),
    "tensor of truth": (torch.zeros(3, 100, 120, dtype=torch.bool), "has no defined white"),
    "tensor last": (torch.zeros(100, 120, 3), r"A tensor of shape \(100, 120, 3\) is no image"),
    "empty tensor": (torch.zeros(3, 0, 120), r"A tensor of shape \(3, 0, 120\) is no image"),
    "grey tensor": (torch.zeros(100, 120), r"A tensor of shape \(100, 120\) is no image"),
    "five axes": (torch.zeros(1, 1, 3, 100, 120), "A tensor of shape"),
    "one of many": (torch.tensor([0.0, torch.nan]).expand(3, 100, 120, 2).permute(3, 0, 1, 2), "from nan"),
    "nothing": (None, "A NoneType is no image: a path, array, tensor or PIL image is expected"),
    "bytes": (b"photo.jpg", "A bytes is no image"),
    "list": ([[0, 1], [1, 0]], "A list is no image"),
    "number": (7, "A int is no image"),
    "floats of Pillow": (Image.new("F", (120, 100)), "holds floating-point samples"),
    "wide Pillow": (Image.fromarray(np.full((100, 120), 1 << 20, np.int32)), "holds 32-bit samples"),
    "no name": ("", "is a folder, not an image file"),
    "zero in a name": ("a\0b.jpg", "null"),
    "long name": ("x" * 5000, "File name too long"),
}  # fmt: skip
SOUND = {
    "uint8": (GREY * 255).astype(np.uint8),
    "uint16": (GREY * 65535).astype(np.uint16),
    "half": GREY.astype(np.float16),
    "double": GREY.astype(np.float64),
    "big-endian": GREY.astype(">f4"),
    "big-endian uint16": (GREY * 65535).astype(">u2"),
    "longer than double": GREY.astype(np.longdouble),
    "one band": GREY[..., None],
    "turned": np.ascontiguousarray(GREY.T).T,
    "read-only": np.broadcast_to(GREY[..., None], (100, 120, 3)),
    "backwards": GREY[::-1, ::-1],
    "rounding": GREY + np.float32(0.00001),
    "tensor": torch.full((3, 100, 120), 0.5),
    "expanded": torch.full((1, 1, 1), 0.5).expand(3, 100, 120),
    "half tensor": torch.full((3, 100, 120), 0.5, dtype=torch.bfloat16),
    "eight bits": torch.full((3, 100, 120), 0.5).to(torch.float8_e4m3fn),
    "with gradients": torch.full((3, 100, 120), 0.5, requires_grad=True),
    "one pixel": np.zeros((1, 1), np.uint8),
} | {f"mode {mode}": image(mode) for mode in (*MODES, "La") if mode != "F"}  # fmt: skip


@pytest.fixture(scope="module")
def model():
    return GRepQ.from_pretrained(branch="low", device="cpu")


@pytest.mark.parametrize("name", WRONG)
def test_it_is_refused_in_a_sentence(model, name):
    value, sentence = WRONG[name]
    with pytest.raises(UserError, match=sentence) as caught:
        model.score(value)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", SOUND)
def test_it_has_a_score(model, name):
    assert 0 < model.score(SOUND[name]).q_low <= 0.5


def test_no_images_have_no_scores(model):
    assert model.score(torch.zeros(0, 3, 100, 120)) == []
    assert list(model.score_images([])) == []


def test_a_users_image_stays_as_it_was(model):
    for mode in ("P", "RGBA", "I;16"):
        mine = image(mode).copy()
        model.score(mine)
        assert mine.mode == mode and mine.tobytes() == image(mode).tobytes()
