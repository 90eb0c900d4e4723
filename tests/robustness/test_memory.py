"""What decoding takes of memory, of small files that hold as many pixels as are believed of them."""

import os
import subprocess
import sys

import pytest
from made_images import encoded, png, tiff
from PIL import Image

from configs import Settings
from utils.cli import ROOT

WIDTH, HEIGHT = 6000, Settings.most_pixels // 6000
# Above what importing the decoder takes, which is torch's. Of the image itself Pillow needs 96 MB, and of
# WebP four times that; transparency that was laid over white in one piece took 480 to 670.
MOST_MEBIBYTES = 400
FILES = {
    "rgba.png": lambda: png(WIDTH, HEIGHT, 8, 6),
    "grey_alpha.png": lambda: png(WIDTH, HEIGHT, 8, 4),
    "16_bit.png": lambda: png(WIDTH, HEIGHT, 16, 0),
    "palette.gif": lambda: encoded("gif", Image.new("P", (WIDTH, HEIGHT)), transparency=0),
    "rgba.webp": lambda: encoded("webp", Image.new("RGBA", (WIDTH, HEIGHT)), lossless=True),
    "tile.tif": lambda: tiff(9, 9, tile=(14_400, 14_400), data=png(14_400, 14_400)[41:], compression=8),
}
# Each file by a child of a small process; a child's peak begins at what its parent holds.
PROGRAM = """
import os, resource, sys
from datasets.decoder import read_image, read_reduced

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

def half(height, width):
    return height // 2, width // 2

for read in (read_image, lambda path: read_reduced(path, half)):
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
    assert all(int(mebibytes) < MOST_MEBIBYTES for _, mebibytes in taken), taken
    assert max(int(mebibytes) for name, mebibytes in taken if name == "rgba.png") > 90  # it is counted
