"""How large the frames of an AVIF file are by its AV1 data, by which decoders take memory.

Its container may tell another size. Boxes are of ISO/IEC 14496-12; units ("OBU") and sequence headers are of
the AV1 bitstream specification, 5.3 and 5.5.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

_CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


def frame_sizes(data: bytes) -> list[tuple[int, int]]:
    """(W, H) at most of the frames of each item of a file; items that end too soon are left out.

    Raises:
        ValueError: items share their bytes, so that a small file would hold more than it has.
    """
    sizes: list[tuple[int, int]] = []
    for item in _items(data):
        with suppress(EOFError):
            sizes += _sizes(item)
    return sizes


class _Bits:
    """Numbers of so many bits, one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def __call__(self, count: int) -> int:
        first, self.at = self.at // 8, self.at + count
        if self.at > 8 * len(self.data):
            raise EOFError
        return int.from_bytes(self.data[first : -(-self.at // 8)], "big") >> -self.at % 8 & (1 << count) - 1


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind of each box, also of those in containers, and where its content begins and ends."""
    while start + 8 <= end:
        size, kind, head = int.from_bytes(data[start : start + 4], "big"), data[start + 4 : start + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[start + 8 : start + 16], "big"), 16
        stop = end if size == 0 else min(start + size, end)
        if stop < start + head:
            return
        yield kind, start + head, stop
        if kind in _CONTAINERS or kind == b"meta":
            yield from _boxes(data, start + head + 4 * (kind == b"meta"), stop)
        start = stop


def _items(data: bytes) -> Iterator[bytes]:
    """The bytes of each item, and from the first frame of each track of an animation."""
    boxes = list(_boxes(data, 0, len(data)))
    held = next((data[start:stop] for kind, start, stop in boxes if kind == b"idat"), b"")
    for kind, start, stop in boxes:
        bits = _Bits(data[start:stop])
        with suppress(EOFError):
            if kind == b"iloc":
                yield from _located(bits, data, held)
            elif kind in (b"stco", b"co64"):
                bits(64)
                yield data[bits(32 if kind == b"stco" else 64) :]


def _located(bits: _Bits, data: bytes, held: bytes) -> Iterator[bytes]:
    """The items of a box of locations, "iloc": made of parts of the file, or of what its "idat" box holds."""
    version, left = bits(8), 2 * len(data)
    bits(24)
    of_offset, of_length, of_base, of_index = (8 * bits(4) for _ in range(4))
    for _ in range(bits(32 if version == 2 else 16)):
        bits(32 if version == 2 else 16)
        source = held if version and bits(16) & 1 else data
        bits(16)
        base, parts = bits(of_base), []
        for _ in range(bits(16)):
            bits(of_index if version else 0)
            start, length = base + bits(of_offset), bits(of_length)
            parts.append(source[start : start + length if length else None])
            left -= len(parts[-1])
            if left < 0:
                raise ValueError("its items share their bytes")
        yield b"".join(parts)


def _sizes(item: bytes) -> Iterator[tuple[int, int]]:
    """(W, H) by each sequence header of an item of AV1 data."""
    at = 0
    while at < len(item):
        head, size = item[at], 0
        at += 2 if head & 4 else 1
        if head & 2:
            for place in range(8):
                byte = item[at] if at < len(item) else 0
                size, at = size | (byte & 127) << 7 * place, at + 1
                if byte < 128:
                    break
        else:
            size = len(item) - at
        if head >> 3 & 15 == 1:
            yield _of_sequence(_Bits(item[at : at + size]))
        at += size


def _of_sequence(bits: _Bits) -> tuple[int, int]:
    """The most that a sequence header allows a frame: (W, H)."""
    bits(4)
    reduced = bits(1)  # the frames of a still image have just this size
    if reduced:
        bits(5)
    else:
        delay = 0
        if bits(1):  # timing
            bits(64)
            if bits(1):
                zeros = next((k for k in range(32) if bits(1)), 0)
                bits(zeros)
            if bits(1):  # decoder model
                delay = bits(5) + 1
                bits(42)
        has_delays = bits(1)
        for _ in range(bits(5) + 1):  # operating points
            bits(12)
            if bits(5) > 7:
                bits(1)
            if delay and bits(1):
                bits(2 * delay + 1)
            if has_delays and bits(1):
                bits(4)
    of_width, of_height = bits(4) + 1, bits(4) + 1
    return (bits(of_width) + 1, bits(of_height) + 1) if reduced else (1 << of_width, 1 << of_height)
