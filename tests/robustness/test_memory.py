"""What decoding takes of memory, of small files that take as much as is lent to them."""

import os
import subprocess
import sys

import pytest
from made_images import encoded, png, tiff
from PIL import Image

from configs import Settings
from datasets.image_files import _BYTES_A_PIXEL, _OF_OTHERS
from utils.cli import ROOT

# Of what is made of the image whole, 12 bytes a pixel are its floats.
MOST_REDUCED, MOST_WHOLE = 230, 420


def size(kind=""):
    """(W, H) of the largest image of a kind that is decoded."""
    pixels = 0.98 * Settings.decoding_megabytes * 1e6 / _BYTES_A_PIXEL.get(kind, _OF_OTHERS)
    height = int((pixels / 1.5) ** 0.5)
    return int(pixels / height), height


def image(mode, kind):
    return Image.new(mode, size(kind), (3, 4, 5, 9)[: len(mode)])


FILES = {
    "rgba.png": lambda: png(*size(), 8, 6),
    "grey_alpha.png": lambda: png(*size(), 8, 4),
    "16_bit.png": lambda: png(*size(), 16, 0),
    "palette.gif": lambda: encoded("gif", Image.new("P", size()), transparency=0),
    "rgba.webp": lambda: encoded("webp", image("RGBA", "WEBP"), lossless=True),
    "rgba.avif": lambda: encoded("avif", image("RGBA", "AVIF"), speed=10),
    "rgb.jp2": lambda: encoded("jp2", image("RGB", "JPEG2000")),
    "cmyk.jpg": lambda: encoded("jpg", image("CMYK", "JPEG"), progressive=True),
    "tile.tif": lambda: tiff(9, 9, tile=size(), data=png(*size())[41:], compression=8),
}
# Each file by a child of a small process; a child's peak begins at what its parent holds.
PROGRAM = """
import os, resource, sys
from datasets.decoder import read_image, read_reduced

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

def quarter(height, width):
    return height // 4, width // 4

for read in (read_image, lambda path: read_reduced(path, quarter)):
    for path in sys.argv[1:]:
        if child := os.fork():
            assert os.waitpid(child, 0)[1] == 0
            continue
        before = peak()
        try:
            read(path)
        except Exception as error:
            assert type(error).__name__ == "UserError", error
        print(path, (peak() - before) // 1024, flush=True)
        os._exit(0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
def test_a_small_file_takes_little_memory(tmp_path):
    for name, make in FILES.items():
        (tmp_path / name).write_bytes(make())
        assert (tmp_path / name).stat().st_size < 1_000_000
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, *FILES], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    taken = [line.split() for line in ran.stdout.splitlines()]
    assert len(taken) == 2 * len(FILES)
    for most, some in ((MOST_WHOLE, taken[: len(FILES)]), (MOST_REDUCED, taken[len(FILES) :])):
        assert all(int(mebibytes) < most for _, mebibytes in some), some
    assert max(int(mebibytes) for name, mebibytes in taken if name == "rgba.png") > 90  # it is counted
