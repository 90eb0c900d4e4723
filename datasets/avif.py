"""How large the frames of an AVIF file are by its AV1 data, by which decoders take memory.

Its container may tell another size. Boxes are of ISO/IEC 14496-12; units ("OBU"), sequence headers and frame
headers are of the AV1 bitstream specification, 5.3, 5.5 and 5.9.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

_CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
# Kinds of units: a sequence header, and those that begin a frame.
_SEQUENCE, _FRAMES = 1, (3, 6)
# More units and parts of items than there are, and bytes of items over those of the file.
_MOST_UNITS, _MOST_READ = 10_000, 4
# Frames that a decoder keeps at once: eight to refer to, and the one it decodes.
_MOST_KEPT = 9
# Frames that may be decoded for an image, of which layered files have four.
_MOST_FRAMES = 100
# A header that leaves a tool to each frame.
_EACH = 2
_KEY, _SWITCH = 0, 3

# Where the parts of an item begin and end in its file.
Parts = tuple[tuple[int, int], ...]


def frame_sizes(data: bytes) -> list[list[tuple[int, int]]]:
    """(W, H) of the frames that are kept at once while the first image of each item and track is decoded.

    The largest stands last. A frame that tells a size of its own counts as the largest that it can tell.

    Raises:
        ValueError: none is found, or the file is made to keep its reader busy.
    """
    units, left = iter(range(_MOST_UNITS)), _MOST_READ * len(data)
    known: dict[Parts, list[tuple[int, int]]] = {}  # cells of a grid may share their data
    found = []
    for parts in _items(data, units):
        if parts not in known:
            left -= sum(max(0, stop - start) for start, stop in parts)
            if left < 0:
                raise ValueError("its items share their data")
            known[parts] = _sizes(b"".join(data[start:stop] for start, stop in parts), units)
        if known[parts]:
            found.append(known[parts])
    if not found:
        raise ValueError("no AV1 frame is found")
    return found


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
    """The first sample of each track, which is an image and the frames that are decoded before it."""
    places, lengths = [], []
    for kind, first, last in _boxes(data, start, stop):
        if kind in _CONTAINERS:
            yield from _tracks(data, first, last)
        elif kind in (b"stco", b"co64"):
            size = 4 if kind == b"stco" else 8
            places.append(int.from_bytes(data[first + 8 : first + 8 + size], "big"))
        elif kind == b"stsz":  # a length of all samples, or 0, a count, and the length of each
            lengths += [int.from_bytes(data[first + at : first + at + 4], "big") for at in (4, 12)]
    for place in places:
        yield ((place, min(place + max(lengths, default=len(data)), len(data))),)


def _count(units: Iterator[int]) -> None:
    if next(units, None) is None:
        raise ValueError("its data has more parts than that of an image")


def _sizes(item: bytes, units: Iterator[int]) -> list[tuple[int, int]]:
    """(W, H) of the largest frames of AV1 data; of a sequence without frames where it has none."""
    sequence, frames = None, []
    for kind, content in _units(item, units):
        with suppress(EOFError):
            if kind == _SEQUENCE:
                sequence = _sequence(_Bits(content))
            elif kind in _FRAMES and sequence is not None:
                frames += _frame(_Bits(content), sequence)
    if len(frames) > _MOST_FRAMES:
        raise ValueError(f"it has {len(frames):,} frames to decode before its image")
    if not frames and sequence is not None:
        return [sequence.size]
    return sorted(frames, key=math.prod)[-_MOST_KEPT:]


def _units(item: bytes, units: Iterator[int]) -> Iterator[tuple[int, bytes]]:
    """Kind and content of each unit of AV1 data."""
    at = 0
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
        yield head >> 3 & 15, item[at : at + length]
        at += length


class _Sequence(NamedTuple):
    """What a sequence header tells of its frames."""

    size: tuple[int, int]  # (W, H)
    largest: tuple[int, int]  # that a frame can tell of itself
    is_short: bool  # of a still image, whose frame says less
    # Bits of a time in shown frames and of a name in all, and whether screen content and whole motion vectors
    # are no (0), yes (1) or told by each frame.
    of_time: int
    of_name: int
    screen: int
    whole: int


def _sequence(bits: _Bits) -> _Sequence:
    bits(4)
    is_short, of_time = bool(bits(1)), 0
    if is_short:
        bits(5)
    else:
        of_time = _operating_points(bits)
    of_width, of_height = bits(4) + 1, bits(4) + 1
    size, largest = (bits(of_width) + 1, bits(of_height) + 1), (1 << of_width, 1 << of_height)
    if is_short:
        return _Sequence(size, largest, is_short, 0, 0, _EACH, _EACH)
    of_name = bits(4) + bits(3) + 3 if bits(1) else 0
    bits(7)
    if bits(1):  # order of frames
        bits(2)
    screen = _EACH if bits(1) else bits(1)
    whole = _EACH if not screen or bits(1) else bits(1)
    return _Sequence(size, largest, is_short, of_time, of_name, screen, whole)


def _operating_points(bits: _Bits) -> int:
    """Bits of the time that shown frames tell, which stands before the operating points."""
    delay, of_time, has_equal_intervals = 0, 0, False
    if bits(1):  # timing
        bits(64)
        has_equal_intervals = bool(bits(1))
        if has_equal_intervals:
            zeros = next((k for k in range(32) if bits(1)), 0)
            bits(zeros)
        if bits(1):  # decoder model
            delay = bits(5) + 1
            bits(37)
            of_time = bits(5) + 1
    has_delays = bits(1)
    for _ in range(bits(5) + 1):
        bits(12)
        if bits(5) > 7:
            bits(1)
        if delay and bits(1):
            bits(2 * delay + 1)
        if has_delays and bits(1):
            bits(4)
    return 0 if has_equal_intervals else of_time


def _frame(bits: _Bits, sequence: _Sequence) -> list[tuple[int, int]]:
    """(W, H) of a frame by its header; none where it shows one that there is."""
    if sequence.is_short:
        return [sequence.size]
    if bits(1):
        return []
    kind, is_shown = bits(2), bits(1)
    if kind == _SWITCH:
        return [sequence.largest]
    bits(sequence.of_time if is_shown else 1)
    if not (kind == _KEY and is_shown):
        bits(1)  # resilience against errors
    bits(1)
    screen = bits(1) if sequence.screen == _EACH else sequence.screen
    bits((1 if screen and sequence.whole == _EACH else 0) + sequence.of_name)
    return [sequence.largest if bits(1) else sequence.size]
