"""Files as people have them: every colour mode, turned, transparent, broken."""

import io
import struct
import warnings
import zlib
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from datasets import decoder
from datasets.decoder import decode_pixels, read_image, read_reduced, read_size
from datasets.image_files import Loan, list_images
from Evaluation.image_sizes import resize
from utils.errors import UserError

ORIENTATION = 0x0112


def colours(height=20, width=30, channels=3):
    """Saturated flat blocks, so that even lossy formats keep them within a few steps."""
    blocks = np.random.default_rng(0).integers(0, 256, (2, 3, channels), dtype=np.uint8)
    return np.kron(blocks, np.ones((height // 2, width // 3, 1), np.uint8))


def saved(path, array_or_image, **options):
    image = array_or_image if isinstance(array_or_image, Image.Image) else Image.fromarray(array_or_image)
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["bmp", "png", "tif", "ppm", "jp2", "webp"])
def test_lossless_files_keep_every_value_in_rgb_order(tmp_path, suffix):
    pixels = np.random.default_rng(1).integers(0, 256, (21, 34, 3), dtype=np.uint8)
    options = {"lossless": True} if suffix == "webp" else {}
    path = saved(tmp_path / f"a.{suffix}", pixels, **options)
    read = decode_pixels(path)
    assert read.dtype == np.uint8 and read.flags.c_contiguous and read.flags.writeable
    np.testing.assert_array_equal(read, pixels)


@pytest.mark.parametrize("suffix", ["jpg", "avif"])
def test_lossy_files_are_near(tmp_path, suffix):
    path = saved(tmp_path / f"a.{suffix}", colours(80, 120), quality=95)
    assert np.abs(decode_pixels(path).astype(int) - colours(80, 120)).mean() < 4


def test_read_image_is_value_over_255_planes_first(tmp_path):
    pixels = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    pixels[..., 2] = 255 - pixels[..., 2]
    tensor = read_image(saved(tmp_path / "a.png", pixels))
    assert tensor.dtype == torch.float32 and tensor.shape == (3, 16, 16) and tensor.is_contiguous()
    # A true division: multiplying by 1 / 255 would miss some of the 256 values.
    assert torch.equal(tensor, torch.from_numpy(pixels).permute(2, 0, 1).float() / 255)


def test_grey_and_one_bit_become_three_equal_channels(tmp_path):
    grey = colours()[..., 0]
    for mode in ("L", "1"):
        image = Image.fromarray(grey).convert(mode)
        read = decode_pixels(saved(tmp_path / f"{mode}.png", image))
        np.testing.assert_array_equal(read, np.asarray(image.convert("L"))[..., None].repeat(3, axis=2))


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_grey_of_16_bits_keeps_them(tmp_path, suffix):
    grey = np.random.default_rng(2).integers(0, 65536, (9, 14)).astype(np.uint16)
    grey[0, :2] = 0, 65535
    path = saved(tmp_path / f"a.{suffix}", grey)
    read = decode_pixels(path)
    assert read.dtype == np.uint16 and read.flags.c_contiguous
    np.testing.assert_array_equal(read, grey[..., None].repeat(3, axis=2))
    assert read_image(path)[:, 0, :2].tolist() == [[0.0, 1.0]] * 3
    assert read_image(path)[0, 5, 5].item() == pytest.approx(grey[5, 5] / 65535, abs=1e-7)


def test_big_endian_and_32_bit_tiff(tmp_path):
    grey = np.array([[0, 1, 258, 65535]], np.int32)
    for name, image in (("big", Image.fromarray(grey.astype(">u2"))), ("wide", Image.fromarray(grey))):
        assert decode_pixels(saved(tmp_path / f"{name}.tif", image))[0, :, 0].tolist() == [0, 1, 258, 65535]
    with pytest.raises(UserError, match=r"more\.tif: holds 32-bit samples.*16 bits\.$"):
        decode_pixels(saved(tmp_path / "more.tif", Image.fromarray(grey * 2)))


def test_floating_point_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"a\.tif: holds floating-point samples"):
        decode_pixels(saved(tmp_path / "a.tif", np.full((4, 4), 0.5, np.float32)))


def test_alpha_lies_over_white(tmp_path):
    rgba = np.array([[[200, 0, 0, 255], [200, 0, 0, 0], [200, 0, 100, 128]]], np.uint8)
    over = [[200, 0, 0], [255, 255, 255], [227, 127, 177]]  # 200 * 128/255 + 255 * 127/255 = 227.4
    for suffix in ("png", "tif"):
        read = decode_pixels(saved(tmp_path / f"a.{suffix}", rgba))
        assert np.abs(read[0].astype(int) - over).max() <= 1
    grey = Image.fromarray(np.array([[[90, 255], [90, 0]]], np.uint8), "LA")
    assert decode_pixels(saved(tmp_path / "la.png", grey))[0].tolist() == [[90] * 3, [255] * 3]


def test_palettes_with_and_without_transparency(tmp_path):
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 250, 0, 5, 0, 0, 200])
    image.putdata([0, 1, 2])
    assert decode_pixels(saved(tmp_path / "p.png", image))[0].tolist() == [
        [10, 20, 30],
        [250, 0, 5],
        [0, 0, 200],
    ]
    for name, transparency in (("one.png", 1), ("each.png", bytes([255, 0, 255])), ("one.gif", 1)):
        read = decode_pixels(saved(tmp_path / name, image, transparency=transparency))
        assert read[0].tolist() == [[10, 20, 30], [255, 255, 255], [0, 0, 200]]


def test_transparent_colour_of_rgb_png(tmp_path):
    pixels = np.array([[[1, 2, 3], [9, 9, 9]]], np.uint8)
    read = decode_pixels(saved(tmp_path / "a.png", pixels, transparency=(1, 2, 3)))
    assert read[0].tolist() == [[255, 255, 255], [9, 9, 9]]


def test_cmyk(tmp_path):
    image = Image.fromarray(colours()).convert("CMYK")
    np.testing.assert_array_equal(decode_pixels(saved(tmp_path / "a.tif", image)), colours())
    read = decode_pixels(saved(tmp_path / "a.jpg", image, quality=100))
    assert np.abs(read.astype(int) - colours()).mean() < 6  # an inverted one would differ by 100


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "avif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = saved(tmp_path / f"a.{suffix}", colours(32, 48), exif=exif)
    with Image.open(path) as image:
        wanted = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    read = decode_pixels(path)
    np.testing.assert_array_equal(read, wanted)
    assert read.flags.c_contiguous and read.shape[:2] == ((48, 32) if orientation > 4 else (32, 48))
    assert read_size(path) == read.shape[:2]


def test_orientation_turns_16_bit_grey_too(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    grey = np.array([[1, 2, 3]], np.uint16)
    assert decode_pixels(saved(tmp_path / "a.png", grey, exif=exif))[..., 0].tolist() == [[1], [2], [3]]


@pytest.mark.parametrize("strictness", ["ignore", "error"])  # Pillow warns; with -W error it raises
@pytest.mark.parametrize("exif", [
    b"Exif\0\0", b"Exif\0\0garbage!", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0II*\0" + b"\xff" * 40,
    b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\2\0\0\0\4abc\0\0\0\0\0",  # an orientation of 'abc'
    b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\x09\0\0\0\0\0\0",  # of 9
])  # fmt: skip
def test_bad_exif_does_not_prevent_decoding(tmp_path, exif, strictness):
    plain = decode_pixels(saved(tmp_path / "plain.png", colours()))
    path = saved(tmp_path / "bad.png", colours(), exif=exif)
    with warnings.catch_warnings():
        warnings.simplefilter(strictness)
        np.testing.assert_array_equal(decode_pixels(path), plain)
    path = saved(tmp_path / "bad.jpg", colours(), exif=exif, quality=95)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow looks into a JPEG's while opening it: not ours to catch
        assert np.abs(decode_pixels(path).astype(int) - plain).mean() < 10


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    for suffix in ("gif", "png", "tif", "webp"):
        options = {"lossless": True} if suffix == "webp" else {}
        path = saved(tmp_path / f"a.{suffix}", frames[0], save_all=True, append_images=frames[1:], **options)
        assert decode_pixels(path)[4, 4].tolist() == [255, 0, 0], suffix


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "tif", "jp2", "webp", "avif", "gif"])
@settings(max_examples=15, deadline=None)
@given(share=st.floats(0, 0.98))
def test_a_file_cut_short_is_an_error_of_ours(tmp_path_factory, suffix, share):
    folder = tmp_path_factory.mktemp("cut")
    whole = saved(
        folder / f"whole.{suffix}", np.random.default_rng(3).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    )
    cut = folder / f"cut.{suffix}"
    cut.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
    try:
        read = decode_pixels(cut)
    except UserError as error:
        assert str(error).startswith(f"{cut}: ") and str(error).endswith(".") and "\n" not in str(error)
    else:  # JPEG 2000 is made to be cut; any other whole image would have to be invented
        assert suffix == "jp2" and read.shape == (40, 60, 3)


@settings(max_examples=60, deadline=None)
@given(
    place=st.floats(0, 1, exclude_max=True),
    junk=st.binary(min_size=1, max_size=30),
    suffix=st.sampled_from(["jpg", "png", "bmp", "tif", "gif", "webp"]),
)
def test_damage_never_leaves_as_another_error(tmp_path_factory, place, junk, suffix):
    path = saved(tmp_path_factory.mktemp("damaged") / f"a.{suffix}", colours())
    data = bytearray(path.read_bytes())
    at = int(place * len(data))
    data[at : at + len(junk)] = junk
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            assert decode_pixels(path).shape[2] == 3
        except UserError as error:
            assert str(path) in str(error)


def test_reasons_name_file_and_cause(tmp_path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "page.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    for name, reason in (
        ("none.png", "there is no such file"),
        ("", "is a folder, not an image file"),
        ("empty.jpg", "is empty"),
        ("text.png", "is not an image in a format that can be read"),
        ("page.jpg", "is not an image in a format that can be read"),
    ):
        for read in (decode_pixels, read_image, read_size):
            with pytest.raises(UserError) as caught:
                read(tmp_path / name)
            assert str(caught.value) == f"{tmp_path / name}: {reason}."


def test_bombs_are_refused_where_pillow_refuses_them(tmp_path, monkeypatch):
    """At twice the limit; nothing is said of images of between once and twice."""
    path = saved(tmp_path / "a.png", np.zeros((11, 20, 3), np.uint8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 110)
        assert decode_pixels(path).shape == (11, 20, 3)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 109)
        with pytest.raises(UserError, match="has more than 218 pixels"):
            decode_pixels(path)


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_an_image_is_read_as_large_as_is_asked(tmp_path, suffix, orientation, monkeypatch):
    """And no JPEG file is decoded larger than twice that; its own size is told."""
    decoded, real = [], decoder.pixels_of
    monkeypatch.setattr(
        decoder, "pixels_of", lambda image, *size: decoded.append(image.size) or real(image, *size)
    )
    pixels = np.array(Image.fromarray(colours()).resize((640, 400), Image.Resampling.BILINEAR))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(pixels).save(tmp_path / f"a.{suffix}", exif=exif, quality=95)
    whole = read_image(tmp_path / f"a.{suffix}")
    asked = []

    def size_of(height, width):
        asked.append((height, width))
        return height // 4, width // 4

    reduced, own = read_reduced(tmp_path / f"a.{suffix}", size_of)
    assert own == tuple(whole.shape[1:]) == asked[0] == ((640, 400) if orientation == 6 else (400, 640))
    assert reduced.shape == (3, own[0] // 4, own[1] // 4)
    assert decoded[-1] == ((160, 100) if suffix == "jpg" else (640, 400))
    torch.testing.assert_close(reduced, resize(whole, own[0] // 4, own[1] // 4), rtol=0, atol=0.03)
    same, own = read_reduced(tmp_path / f"a.{suffix}", lambda height, width: (2 * height, 2 * width))
    assert torch.equal(same, whole) and own == tuple(whole.shape[1:])


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files where Linux lists them")
def test_no_file_stays_open(tmp_path):
    whole = saved(tmp_path / "a.png", colours())
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:60])
    (tmp_path / "text.png").write_text("hello")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        decode_pixels(whole)
        for name in ("cut.png", "text.png"):
            with pytest.raises(UserError):
                decode_pixels(tmp_path / name)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_list_images(tmp_path):
    for name in ("b.JPG", "a.png", "C.WebP", ".hidden.png", "notes.txt", "noext"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in list_images(tmp_path)] == ["C.WebP", "a.png", "b.JPG"]
    with pytest.raises(UserError, match="there is no such folder"):
        list_images(tmp_path / "none")
    with pytest.raises(UserError, match="is a file where a folder"):
        list_images(tmp_path / "a.png")
    with pytest.raises(UserError, match="holds no image"):
        list_images(tmp_path / "folder.png")


def test_room_is_made_for_a_small_file_of_many_pixels(tmp_path):
    entered = []

    @contextmanager
    def room():
        entered.append("room")
        yield

    loan = Loan(20, room)
    for side, expected in ((990, []), (1100, ["room"])):  # 10 MB are half
        Image.new("RGB", (side, side)).save(tmp_path / "image.png")
        assert read_reduced(tmp_path / "image.png", lambda h, w: (h // 2, w // 2), loan)[1] == (side, side)
        assert entered == expected
    with (tmp_path / "image.png").open("ab") as file:  # a large file takes what it takes
        file.write(bytes(1_000_000))
    assert read_image(tmp_path / "image.png", Loan(1, room)).shape == (3, 1100, 1100)
    assert entered == ["room"]


@pytest.mark.parametrize(("bits", "photometric"), [(12, 1), (16, 1), (16, 0)])
def test_grey_tiff_of_more_than_8_bits(tmp_path, bits, photometric):
    """Black is 0 and white is 1 whatever stands for them in the file."""
    grey = np.array([[0, 1, 2, 3], [3, 2, 1, 0]]) / 3
    stored = np.round((grey if photometric else 1 - grey) * (2**bits - 1)).astype(int)
    text = "".join(f"{value:03x}" for value in stored.ravel())
    data = stored.astype("<u2").tobytes() if bits == 16 else bytes.fromhex(text)
    tags = {256: 4, 257: 2, 258: bits, 259: 1, 262: photometric, 273: 122, 277: 1, 278: 2, 279: len(data)}
    entries = b"".join(struct.pack("<HHII", tag, 3, 1, value) for tag, value in tags.items())
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    assert len(head) == 122
    (tmp_path / "grey.tif").write_bytes(head + data)
    read = read_image(tmp_path / "grey.tif")
    np.testing.assert_allclose(read.numpy(), np.broadcast_to(grey, (3, 2, 4)), atol=2e-4)


def test_small_files_that_keep_a_decoder_busy_are_refused(tmp_path):
    file = io.BytesIO()
    Image.new("RGB", (60, 40)).save(file, "JPEG", progressive=True)
    content, at = file.getvalue(), file.getvalue().rindex(b"\xff\xda")
    (tmp_path / "scans.jpg").write_bytes(content[:-2] + content[at:-2] * 200 + b"\xff\xd9")
    two = io.BytesIO()
    Image.new("RGB", (60, 40)).save(two, "MPO", save_all=True, append_images=[Image.new("RGB", (60, 40))])
    index = two.getvalue()[2 : two.getvalue().index(b"\xff\xdb")]  # of both images
    several = b"\xff\xd8" + index + (tmp_path / "scans.jpg").read_bytes()[2:]
    (tmp_path / "several.jpg").write_bytes(several)
    assert Image.open(tmp_path / "several.jpg").format == "MPO"
    for name in ("scans.jpg", "several.jpg"):
        with pytest.raises(UserError, match=rf"{name}: .*it has 2\d\d scans"):
            read_image(tmp_path / name)
    text = PngInfo()
    for k in range(5):
        text.add_itxt(f"text {k}", "a" * 1_000_000, zip=True)
    Image.new("RGB", (60, 40)).save(tmp_path / "text.png", pnginfo=text)
    with pytest.raises(UserError, match=r"text.png: is damaged or cut short .* text chunks"):
        read_image(tmp_path / "text.png")


def test_a_long_text_and_colour_profile_are_no_fault(tmp_path):
    text = PngInfo()
    text.add_text("Raw profile type exif", "a" * 3_000_000, zip=True)
    profile = bytes(2_000_000)
    Image.new("RGB", (60, 40)).save(tmp_path / "long.png", pnginfo=text, icc_profile=profile)
    assert read_image(tmp_path / "long.png").shape == (3, 40, 60)


@pytest.mark.parametrize("compression", [1, 8], ids=["raw", "deflate"])
@pytest.mark.parametrize("counted", [True, False])
def test_strips_that_share_their_bytes_are_not_decoded(tmp_path, compression, counted):
    """Each strip is half of the image; one of a sound file has a length that is told wrong."""
    rows = np.random.default_rng(0).bytes(60 * 20 * 3)
    data = rows if compression == 1 else zlib.compress(rows)
    wrong = 1 << 30 if compression == 1 else len(data)  # which libtiff believes
    for name, strips, length in (("two.tif", 2, wrong), ("many.tif", 5_000, len(data))):
        tags = [(256, 4, [60]), (257, 4, [40]), (258, 3, [8]), (259, 3, [compression]), (262, 3, [2])]
        tags += [(273, 4, [9_000] * strips), (277, 3, [3]), (278, 4, [20])]
        tags += [(279, 4, [len(data)] * (strips - 1) + [length])] if counted else []
        head = b"II*\0" + struct.pack("<IH", 8, len(tags))
        after, entries = 8 + 2 + 12 * len(tags) + 4, b""
        values = bytes(9_000 - after) + data
        for tag, kind, numbers in tags:
            packed = struct.pack(f"<{len(numbers)}{'H' if kind == 3 else 'I'}", *numbers)
            if len(packed) > 4:
                packed, values = struct.pack("<I", after + len(values)), values + packed
            entries += struct.pack("<HHI4s", tag, kind, len(numbers), packed)
        (tmp_path / name).write_bytes(head + entries + bytes(4) + values)
    if counted or compression == 1:
        assert decode_pixels(tmp_path / "two.tif")[:20].tobytes() == rows
        with pytest.raises(UserError, match=r"many.tif: .*share what they hold"):
            read_image(tmp_path / "many.tif")


@pytest.mark.parametrize("mode", ["1", "L"])
def test_grey_images_are_made_smaller_in_one_channel(tmp_path, mode):
    noise = np.random.default_rng(0).integers(0, 256, (90, 120), dtype=np.uint8)
    grey = Image.fromarray(noise).convert(mode)
    grey.save(tmp_path / "grey.png")
    grey.convert("RGB").save(tmp_path / "rgb.png")
    small, large = (
        read_reduced(tmp_path / name, lambda h, w: (h // 3, w // 3))[0] for name in ("grey.png", "rgb.png")
    )
    assert small.shape == (3, 30, 40) and torch.equal(small, large)


def test_a_page_that_was_scanned_fits_its_loan(tmp_path):
    """A4 at 600 dots an inch."""
    Image.new("1", (4960, 7016), 1).save(tmp_path / "page.tif", compression="group4")
    small, size = read_reduced(tmp_path / "page.tif", lambda h, w: (h // 8, w // 8))
    assert size == (7016, 4960) and small.shape == (3, 877, 620) and small.min() == 1


def test_nothing_is_decoded_where_the_size_is_enough(tmp_path):
    content = saved(tmp_path / "cut.png", colours()).read_bytes()
    (tmp_path / "cut.png").write_bytes(content[:60])
    pixels, size = read_reduced(tmp_path / "cut.png", lambda h, w: (0, 0))
    assert pixels.shape == (3, 0, 0) and size == (20, 30)
