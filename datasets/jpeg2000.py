"""What a JPEG 2000 file asks of its decoder beside its pixels: memory for each tile, code block and precinct.

Markers and fields are those of ISO/IEC 15444-1, annex A.
"""

from __future__ import annotations

import math
import re

# Bytes that OpenJPEG takes for each, of a component; of a tile once.
_OF_TILE, _OF_BLOCK, _OF_PRECINCT = 13_000, 250, 400
# An image has one.
_MOST_STREAMS = 8
_SIZ, _COD, _COC, _SOT, _SOD = 0xFF51, 0xFF52, 0xFF53, 0xFF90, 0xFF93


def structure_bytes(data: bytes) -> float:
    """Memory for tiles, code blocks and precincts, of the codestream in a file that takes most.

    Of several coding styles in it the most expensive counts for all.

    Raises:
        ValueError: there are more codestreams than an image has.
    """
    starts = [found.start() for found in re.finditer(b"\xff\x4f\xff\x51", data)]
    if len(starts) > _MOST_STREAMS:
        raise ValueError(f"it has {len(starts):,} codestreams")
    return max((_of_codestream(data, start + 2) for start in starts), default=0.0)


def _of_codestream(data: bytes, at: int) -> float:
    def number(place: int, size: int) -> int:
        return int.from_bytes(data[place : place + size], "big")

    tiles = samples = components = 0
    of_sample, sot = 0.0, at
    while at + 2 < len(data):
        marker, length = number(at, 2), number(at + 2, 2)
        if marker == _SOD:  # after which the next part of a tile follows, if its length is told
            following = sot + number(sot + 6, 4)
            if following <= at:
                break
            at = following
            continue
        if marker == _SOT:
            sot = at
        elif marker == _SIZ:
            x, y, left, top, wide, high, across, down, components = (
                *(number(at + 6 + 4 * k, 4) for k in range(8)), number(at + 38, 2)
            )  # fmt: skip
            samples = max(0, x - left) * max(0, y - top) * components
            tiles = math.ceil((x - across) / max(1, wide)) * math.ceil((y - down) / max(1, high))
        elif marker == _COD:
            of_sample = max(of_sample, _of_sample(data[at + 4 : at + 5] + data[at + 9 : at + 2 + length]))
        elif marker == _COC:
            of_sample = max(
                of_sample, _of_sample(data[at + (5 if components < 257 else 6) : at + 2 + length])
            )
        at += 2 + max(2, length)
    return tiles * _OF_TILE + samples * of_sample


def _of_sample(style: bytes) -> float:
    """Bytes for each sample, by a coding style: kind, levels, sides of blocks, two more, and precincts."""
    found = 0.0
    levels = min(style[1], 32) if len(style) > 3 else 0
    for resolution in range(levels + 1):
        share = 4.0 ** (resolution - levels)  # of all samples
        sides = [side + 2 for side in style[2:4]]
        if style[:1] and style[0] & 1 and len(style) > 6 + resolution:
            whole = style[6 + resolution] & 15, style[6 + resolution] >> 4
            found += share * _OF_PRECINCT / 2 ** sum(whole)
            # A block ends with its precinct, which but for the first resolution is of three bands together.
            sides = [
                min(side, max(0, one - (resolution > 0))) for side, one in zip(sides, whole, strict=True)
            ]
        found += share * _OF_BLOCK / 2 ** sum(sides)
    return found
