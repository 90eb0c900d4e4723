"""Hostile and odd image files: name, what makes its bytes, and its row: size and notes, or the reason."""

import numpy as np
from made_images import (
    HEIGHT,
    MODES,
    WIDTH,
    bmp_runs,
    claiming,
    encoded,
    exif,
    png,
    png_chunk,
    tiff,
)
from PIL import Image

SOUND, TURNED = f"{WIDTH}x{HEIGHT}", f"{HEIGHT}x{WIDTH}"
DAMAGED = "^is damaged or cut short|^is not an image in a format|^is empty"
EITHER = f"{SOUND}|{DAMAGED}"
TOO_MANY = "^has more than 178,956,970 pixels, the limit for an image"
NOT_BELIEVED = (
    r"^claims \d+x\d+ pixels in [\d,]+ bytes; decoding .* takes [\d,]+ MB, .* gets 200 \(--set decoding_meg"
)
NO_WHITE = "whose white is not defined: save it as 8 or 16 bits"
OTHER = "^is not an image in a format that can be read"


def modes():
    for mode, suffixes in MODES.items():
        for suffix in suffixes.split():
            name = f"mode_{mode.replace(';', '')}.{suffix}"
            yield name, lambda s=suffix, m=mode: encoded(s, m), NO_WHITE if mode == "F" else SOUND


def depths():
    for depth, colour in (
        (1, 0), (2, 0), (4, 0), (16, 0), (1, 3), (2, 3), (4, 3), (16, 4), (16, 2), (16, 6),
    ):  # fmt: skip
        for laced in (False, True):
            name = f"{depth}_bit_colour_{colour}{'_interlaced' * laced}.png"
            yield name, lambda d=depth, c=colour, i=laced: png(WIDTH, HEIGHT, d, c, i), SOUND
    pixels = WIDTH * HEIGHT
    for name, bits, kind, photometric, expected in (
        ("2_bit", (2,), 1, 1, SOUND), ("4_bit", (4,), 1, 1, SOUND), ("16_bit", (16,), 1, 1, SOUND),
        ("16_bit_rgb", (16,) * 3, 1, 2, SOUND), ("white_is_zero", (8,), 1, 0, SOUND),
        ("12_bit", (12,), 1, 1, SOUND),
        ("32_bit", (32,), 1, 1, NO_WHITE), ("signed", (16,), 2, 1, NO_WHITE),
        ("float", (32,), 3, 1, NO_WHITE), ("double", (64,), 3, 1, OTHER),
        ("five_bands", (8,) * 5, 1, 2, OTHER), ("no_bits", (), 1, 1, OTHER),
    ):  # fmt: skip
        data = b"\xff" * (pixels * sum(bits) // 8)
        yield (
            f"{name}.tif",
            lambda b=bits, k=kind, p=photometric, d=data: tiff(WIDTH, HEIGHT, b, p, d, samples=k),
            expected,
        )


def variants():
    frames = [Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in ("red", "lime", "blue")]
    for suffix in ("gif", "webp", "png", "avif", "tif"):
        yield (
            f"animated.{suffix}",
            lambda s=suffix: encoded(s, frames[0], save_all=True, append_images=frames[1:]),
            SOUND,
        )
    yield "progressive.jpg", lambda: encoded("jpg", progressive=True), SOUND
    yield "inverted.jpg", lambda: encoded("jpg", "CMYK").replace(b"Adobe\0d", b"Adobe\0e"), SOUND
    yield "cmyk_without_adobe.jpg", lambda: encoded("jpg", "CMYK").replace(b"Adobe", b"Nobel"), SOUND
    yield "with_a_tail.jpg", lambda: encoded("jpg") + bytes(5000), SOUND
    yield "two_in_one.jpg", lambda: encoded("jpg") + encoded("jpg"), SOUND
    yield "runs.bmp", lambda: bmp_runs(WIDTH, HEIGHT, HEIGHT), SOUND
    yield "transparent_palette.png", lambda: encoded("png", "P", transparency=bytes(range(100))), SOUND
    yield "transparent_entry.gif", lambda: encoded("gif", "P", transparency=3), SOUND
    yield "transparent_colour.png", lambda: encoded("png", transparency=(1, 2, 3)), SOUND
    for turn in range(10):
        expected = TURNED if turn in (5, 6, 7, 8) else SOUND
        for suffix in ("jpg", "png", "webp", "tif"):
            yield f"turned_{turn}.{suffix}", lambda s=suffix, t=turn: encoded(s, exif=exif(t)), expected
    for name, tags in (
        ("none", b"Exif\0\0"), ("junk", b"Exif\0\0junk"), ("far", b"Exif\0\0MM\0*\xff\xff\xff\xff"),
        ("circle", b"Exif\0\0II*\0\x08\0\0\0\0\0\x08\0\0\0"), ("bare", b"\xff" * 60000),
    ):  # fmt: skip
        for suffix in ("jpg", "png", "webp"):
            yield f"exif_{name}.{suffix}", lambda s=suffix, e=tags: encoded(s, exif=e), SOUND
    for name, profile in (("junk", b"junk"), ("zeros", bytes(3000)), ("short", b"\0\0\x0b\xd0appl")):
        for suffix in ("jpg", "png", "webp", "tif"):
            yield f"profile_{name}.{suffix}", lambda s=suffix, p=profile: encoded(s, icc_profile=p), SOUND
    broken = png_chunk(b"iCCP", b"x\0\0" + b"no zlib")
    yield "profile_not_packed.png", lambda: png(WIDTH, HEIGHT, extra=broken), SOUND
    yield "unknown_chunk.png", lambda: png(WIDTH, HEIGHT, extra=png_chunk(b"prVt", bytes(99))), SOUND
    yield "wrong_sum.png", lambda: png(WIDTH, HEIGHT).replace(b"IEND\xae", b"IEND\xaf"), EITHER
    yield "no_palette.png", lambda: png(WIDTH, HEIGHT, 8, 3).replace(b"PLTE", b"pLTE"), EITHER


def damages():
    rng = np.random.default_rng(0)
    for suffix in ("jpg", "png", "webp", "tif", "gif", "bmp", "avif", "jp2", "ppm"):
        for share in (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
            # JPEG 2000 is made to be cut.
            expected = EITHER if suffix == "jp2" else DAMAGED
            yield f"cut_{share}.{suffix}", lambda s=suffix, c=share: cut(encoded(s), c), expected
        for k in range(6):
            places = rng.random(8)
            yield f"flipped_{k}.{suffix}", lambda s=suffix, p=places: flipped(encoded(s), p), f"{EITHER}|."


def cut(content, share):
    return content[: int(share * len(content))]


def flipped(content, places):
    changed = np.frombuffer(content, np.uint8).copy()
    changed[(places * len(changed)).astype(int)] ^= 0x41
    return changed.tobytes()


def bombs():
    for suffix in ("png", "tif", "jpg", "gif", "bmp", "jp2", "ppm"):
        yield f"claims_65500.{suffix}", lambda s=suffix: claiming(s, 65500, 65500), TOO_MANY
    for suffix in ("webp", "avif"):
        yield f"claims_16383.{suffix}", lambda s=suffix: claiming(s, 16383, 16383), TOO_MANY
    for suffix in ("png", "tif", "jpg", "gif", "bmp", "jp2", "ppm", "webp", "avif"):
        yield f"claims_25_mega.{suffix}", lambda s=suffix: claiming(s, 5000, 5001), NOT_BELIEVED
    yield "sound_100_mega.png", lambda: png(10_000, 10_000, 1, 0), NOT_BELIEVED
    yield "sound_100_mega_palette.png", lambda: png(10_000, 10_000, 1, 3), NOT_BELIEVED
    yield "sound_25_mega.bmp", lambda: bmp_runs(5000, 5000, 5000), NOT_BELIEVED
    yield "large_tile.tif", lambda: tiff(WIDTH, HEIGHT, tile=(14_400, 14_400), data=bytes(999)), NOT_BELIEVED
    yield "no_pixels.png", lambda: png(0, 0), DAMAGED
    yield "no_rows.png", lambda: png(WIDTH, 0), DAMAGED
    yield "no_rows.ppm", lambda: b"P6 120 0 255\n", DAMAGED
    yield "negative.bmp", lambda: claiming("bmp", -5 & 0xFFFF, 1 << 30), f"{TOO_MANY}|{DAMAGED}"


def sizes():
    for width, height, note in (
        (1, 1, "enlarged to 96x96"), (31, 31, "enlarged to 96x96"), (95, 95, "enlarged to 96x96"),
        (96, 96, ""), (97, 2000, ""), (30, 300, "enlarged to 96x960"), (2000, 600, "viewed at 1827x548"),
    ):  # fmt: skip
        yield f"side_{width}x{height}.png", lambda w=width, h=height: png(w, h), f"^{width}x{height} {note}$"
    for width, height in ((1, 5000), (5000, 1), (1, 60_000), (96, 200_000)):
        yield (
            f"sliver_{width}x{height}.png",
            lambda w=width, h=height: png(w, h),
            f"^{width}x{height} is too narrow",
        )


def others():
    yield "text.jpg", lambda: b"no image at all\n" * 20, OTHER
    yield "page.jpg", lambda: b"<!DOCTYPE html><html><body>429</body></html>", OTHER
    yield "drawing.png", lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>', OTHER
    yield "script.jpg", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", OTHER
    yield "document.png", lambda: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", OTHER
    yield "film.jpg", lambda: b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + bytes(99), OTHER
    yield "archive.png", lambda: b"PK\3\4" + bytes(99), OTHER
    yield "zeros.webp", lambda: bytes(4096), OTHER
    yield "empty.jpg", lambda: b"", "^is empty"
    yield "byte.gif", lambda: b"G", OTHER
    yield "is_a_png.jpg", lambda: encoded("png"), SOUND
    yield "is_a_jpeg.tif", lambda: encoded("jpg"), SOUND
    yield "is_a_webp.txt", lambda: encoded("webp"), SOUND
    yield "no_ending", lambda: encoded("gif"), SOUND
    yield 'a "quoted", name;\twith\nlines.png', lambda: encoded("png"), SOUND
    yield "name\udcff\udce4.png", lambda: encoded("png"), SOUND
    yield "-rf.png", lambda: encoded("png"), SOUND
    yield "[a]*?.png", lambda: encoded("png"), SOUND
    yield "%s%n{0}.png", lambda: encoded("png"), SOUND
    yield f"{'n' * 240}.png", lambda: encoded("png"), SOUND


CASES = [*modes(), *depths(), *variants(), *damages(), *bombs(), *sizes(), *others()]
