"""How large the frames of an AVIF file are by its AV1 data, by which decoders take memory.

Its container may tell another size. Boxes are of ISO/IEC 14496-12; units ("OBU") and sequence headers are of
the AV1 bitstream specification, 5.3 and 5.5.
"""

from __future__ import annotations

from collections.abc import Iterator

_CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
# Kinds of units: a sequence header, and those that begin a frame.
_SEQUENCE, _FRAMES = 1, (3, 6)
# More units before first frames and parts of items than there are, and bytes of items over those of the file.
_MOST_UNITS, _MOST_READ = 10_000, 4

# Where the parts of an item begin and end in its file.
Parts = tuple[tuple[int, int], ...]


def frame_sizes(data: bytes) -> list[tuple[int, int]]:
    """(W, H) of the first frame of each item and track of a file, as its sequence header tells it.

    Raises:
        ValueError: none is found, or the file is made to keep its reader busy.
    """
    units, left = iter(range(_MOST_UNITS)), _MOST_READ * len(data)
    known: dict[Parts, tuple[int, int] | None] = {}  # cells of a grid may share their data
    sizes = []
    for parts in _items(data, units):
        if parts not in known:
            left -= sum(max(0, stop - start) for start, stop in parts)
            if left < 0:
                raise ValueError("its items share their data")
            known[parts] = _size(b"".join(data[start:stop] for start, stop in parts), units)
        if (size := known[parts]) is not None:
            sizes.append(size)
    if not sizes:
        raise ValueError("no AV1 frame is found")
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
    """Kind of each box, and where its content begins and ends."""
    while start + 8 <= end:
        size, kind, head = int.from_bytes(data[start : start + 4], "big"), data[start + 4 : start + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[start + 8 : start + 16], "big"), 16
        stop = end if size == 0 else min(start + size, end)
        if stop < start + head:
            return
        yield kind, start + head, stop
        start = stop


def _items(data: bytes, units: Iterator[int]) -> Iterator[Parts]:
    """Each item of a still image, and each track of an animation from its first frame on."""
    for kind, start, stop in _boxes(data, 0, len(data)):
        if kind == b"meta":
            boxes = {name: place for name, *place in _boxes(data, start + 4, stop)}
            if b"iloc" in boxes:
                first, last = boxes[b"iloc"]
                held = boxes.get(b"idat", [0, 0])
                yield from _located(_Bits(data[first:last]), held, len(data), units)
        elif kind == b"moov":
            yield from _tracks(data, start, stop)


def _located(bits: _Bits, held: list[int], size: int, units: Iterator[int]) -> Iterator[Parts]:
    """The items of "iloc": places in a file of `size` bytes, or in its "idat" box, which is at `held`."""
    try:
        version = bits(8)
        bits(24)
        of_offset, of_length, of_base, of_index = (8 * bits(4) for _ in range(4))
        for _ in range(bits(32 if version == 2 else 16)):
            bits(32 if version == 2 else 16)
            begin, end = held if version and bits(16) & 1 else (0, size)
            bits(16)
            begin, parts = begin + bits(of_base), []
            for _ in range(bits(16)):
                _count(units)
                bits(of_index if version else 0)
                start, length = begin + bits(of_offset), bits(of_length)
                parts.append((start, min(start + length, end) if length else end))
            yield tuple(parts)
    except EOFError:
        return


def _tracks(data: bytes, start: int, stop: int) -> Iterator[Parts]:
    for kind, first, last in _boxes(data, start, stop):
        if kind in _CONTAINERS:
            yield from _tracks(data, first, last)
        elif kind in (b"stco", b"co64"):
            size = 4 if kind == b"stco" else 8
            yield ((int.from_bytes(data[first + 8 : first + 8 + size], "big"), len(data)),)


def _count(units: Iterator[int]) -> None:
    if next(units, None) is None:
        raise ValueError("its data has more parts than that of an image")


def _size(item: bytes, units: Iterator[int]) -> tuple[int, int] | None:
    """(W, H) by the sequence headers before the first frame of AV1 data; None where there are none."""
    at, size = 0, None
    while at < len(item):
        _count(units)
        head, length = item[at], 0
        at += 2 if head & 4 else 1
        if head & 2:
            for place in range(8):
                byte = item[at] if at < len(item) else 0
                length, at = length | (byte & 127) << 7 * place, at + 1
                if byte < 128:
                    break
        else:
            length = len(item) - at
        kind = head >> 3 & 15
        if kind in _FRAMES:
            return size
        if kind == _SEQUENCE:
            try:
                found = _of_sequence(_Bits(item[at : at + length]))
            except EOFError:
                return size
            size = found if size is None else (max(size[0], found[0]), max(size[1], found[1]))
        at += length
    return size


def _of_sequence(bits: _Bits) -> tuple[int, int]:
    """(W, H) by a sequence header; no frame may be larger."""
    bits(4)
    if bits(1):  # of a still image, in short
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
    return bits(of_width) + 1, bits(of_height) + 1
