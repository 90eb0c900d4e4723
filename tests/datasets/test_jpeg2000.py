"""Memory beside pixels: as OpenJPEG took it, of files that were measured, and of each place that tells it."""

import io
import struct
from contextlib import suppress

import pytest
from PIL import Image

from datasets import jpeg2000
from datasets.decoder import read_image
from datasets.jpeg2000 import structure_bytes
from utils.errors import UserError


def encoded(size=(300, 200), mode="RGB", **options):
    file = io.BytesIO()
    Image.new(mode, size).save(file, "JPEG2000", **options)
    return file.getvalue()


def test_usual_files_take_little():
    assert structure_bytes(encoded()) < 100_000
    tiled = structure_bytes(encoded(tile_size=(64, 64)))
    assert tiled == pytest.approx(5 * 4 * 13_000 + 300 * 200 * 3 / 64**2 * 250 * 4 / 3, rel=0.01)
    assert structure_bytes(b"no codestream") == 0


@pytest.mark.parametrize("mode", ["L", "RGBA"])
def test_small_blocks_and_precincts(mode):
    samples = 300 * 200 * len(mode)
    blocks = structure_bytes(encoded(mode=mode, codeblock_size=(4, 4)))
    octaves = sum(4.0**-k for k in range(6))  # resolutions, each a fourth of the one above
    assert blocks == pytest.approx(13_000 + octaves * samples / 16 * 250, rel=0.01)
    # In precincts of 8 x 8 blocks are of 4 x 4, because a side of it is of two bands.
    two = structure_bytes(encoded(mode=mode, precinct_size=(8, 8), num_resolutions=2))
    lower = (400 + 250) / 4**2 / 4  # precincts of 4 x 4 of the lower resolution
    assert two == pytest.approx(13_000 + samples * (400 / 64 + 250 / 16 + lower), rel=0.01)
    assert structure_bytes(encoded(mode=mode, precinct_size=(256, 256))) < 13_000 + samples / 3


def test_one_component_may_have_its_own_blocks():
    usual = encoded()
    own = b"\xff\x53" + struct.pack(">HBBBBBBB", 9, 1, 0, 0, 0, 0, 0, 0)  # 4 x 4
    at = usual.index(b"\xff\x5c")  # quantisation, after the coding style
    assert structure_bytes(usual[:at] + own + usual[at:]) > 50 * structure_bytes(usual)


def test_a_later_part_may_have_its_own_blocks():
    usual = encoded(tile_size=(64, 64))
    at = usual.rindex(b"\xff\x93")
    sot = usual.rindex(b"\xff\x90", 0, at)
    length = int.from_bytes(usual[sot + 6 : sot + 10], "big")
    own = b"\xff\x52" + struct.pack(">HBBHBBBBBB", 12, 0, 0, 1, 0, 0, 0, 0, 0, 0)
    changed = (
        usual[: sot + 6] + struct.pack(">I", length + len(own)) + usual[sot + 10 : at] + own + usual[at:]
    )
    assert structure_bytes(changed) > 5 * structure_bytes(usual)


def test_a_small_file_of_many_tiles_is_not_decoded(tmp_path):
    content = bytearray(encoded((255, 257)))
    at = content.index(b"\xff\x51") + 22
    content[at : at + 8] = struct.pack(">II", 1, 1)
    (tmp_path / "tiles.jp2").write_bytes(content)
    with pytest.raises(UserError, match=r"tiles.jp2: claims 255x257 pixels .* decoding them takes 85\d MB"):
        read_image(tmp_path / "tiles.jp2")


def with_layers(content, layers):
    at = content.index(b"\xff\x52") + 6
    return content[:at] + struct.pack(">H", layers) + content[at + 2 :]


@pytest.mark.parametrize(
    ("options", "packets"),
    [({}, 65_535), ({"num_resolutions": 3}, 3 * 65_535), ({"tile_size": (128, 64)}, 8 * 65_535)],
)
def test_packets_of_a_layer(monkeypatch, options, packets):
    """A layer of each precinct, of which there is one or more in a resolution of a tile."""
    content = with_layers(encoded((256, 256), "L", **({"num_resolutions": 1} | options)), 65_535)
    structure_bytes(content)
    monkeypatch.setattr(jpeg2000, "_MOST_PACKETS", packets - 1)
    with pytest.raises(ValueError, match=f"it has {packets:,} packets"):
        structure_bytes(content)


def test_many_layers_of_small_precincts_are_not_decoded():
    content = encoded((256, 256), "L", num_resolutions=1, precinct_size=(8, 8))
    structure_bytes(with_layers(content, 100))
    with pytest.raises(ValueError, match=f"it has {65_535 * (256 * 256 // 64 + 1):,} packets"):
        structure_bytes(with_layers(content, 65_535))


def test_nonsense_ends():
    start = b"\xff\x4f\xff\x51"
    for content in (start, start * 9, start + bytes(40), start + b"\xff" * 99, start + b"\xff\x90" * 50):
        with suppress(ValueError):
            assert structure_bytes(content) >= 0
    size = b"\xff\x51" + struct.pack(">HH8IH", 41, 0, 9, 9, 0, 0, 9, 9, 0, 0, 1) + bytes(3)
    assert (
        structure_bytes(b"\xff\x4f" + size + b"\xff\x53\0\3\0" + bytes(9)) == 13_000 + 81 * 250
    )  # a style cut short: a block each
    for part in (0, 5, 12, 14, 16):  # the part of a tile that ends in itself
        tile = b"\xff\x90" + struct.pack(">HHIBB", 10, 0, part, 0, 1) + b"\xff\x93" * 9
        assert structure_bytes(start + bytes([0, 41]) + bytes(39) + tile) == 0
    with pytest.raises(ValueError, match="has 9 codestreams"):
        structure_bytes(start * 9)
