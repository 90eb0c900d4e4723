"""What a JPEG 2000 file asks of its decoder beside its pixels: for tiles, code blocks, precincts and packets.

Markers and fields are those of ISO/IEC 15444-1, annex A.
"""

from __future__ import annotations

import math
import re

# Bytes that OpenJPEG takes for each, of a component; of a tile once.
_OF_TILE, _OF_BLOCK, _OF_PRECINCT = 13_000, 250, 400
# An image has one.
_MOST_STREAMS = 8
# Packets, a layer of a precinct each: a decoder goes through all, where they are empty too.
_MOST_PACKETS = 10_000_000
_SIZ, _COD, _COC, _SOT, _SOD = 0xFF51, 0xFF52, 0xFF53, 0xFF90, 0xFF93


def structure_bytes(data: bytes) -> float:
    """Memory for tiles, code blocks and precincts, of the codestream in a file that takes most.

    Of several coding styles in it the most expensive counts for all.

    Raises:
        ValueError: there are more codestreams or packets than an image has.
    """
    starts = [found.start() for found in re.finditer(b"\xff\x4f\xff\x51", data)]
    if len(starts) > _MOST_STREAMS:
        raise ValueError(f"it has {len(starts):,} codestreams")
    return max((_of_codestream(data, start + 2) for start in starts), default=0.0)


def _of_codestream(data: bytes, at: int) -> float:
    def number(place: int, size: int) -> int:
        return int.from_bytes(data[place : place + size], "big")

    tiles = samples = components = layers = levels = 0
    of_sample = precincts = 0.0
    sot = at
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
        elif marker in (_COD, _COC):
            style = data[at + (5 if components < 257 else 6) : at + 2 + length]
            if marker == _COD:
                layers = max(layers, number(at + 6, 2))
                style = data[at + 4 : at + 5] + data[at + 9 : at + 2 + length]
            blocks, own = _of_sample(style)
            of_sample = max(of_sample, blocks * _OF_BLOCK + own * _OF_PRECINCT)
            levels, precincts = max([levels, *style[1:2]]), max(precincts, own)
        at += 2 + max(2, length)
    packets = layers * (samples * precincts + tiles * components * (levels + 1))
    if packets > _MOST_PACKETS:
        raise ValueError(f"it has {packets:,.0f} packets, each of which takes its time")
    return tiles * _OF_TILE + samples * of_sample


def _of_sample(style: bytes) -> tuple[float, float]:
    """Code blocks and precincts for each sample, by a coding style.

    It tells kind, levels, sides of blocks, two more, and the precincts of each resolution.
    """
    blocks = precincts = 0.0
    levels = min(style[1], 32) if len(style) > 3 else 0
    for resolution in range(levels + 1):
        share = 4.0 ** (resolution - levels)  # of all samples
        sides = [side + 2 for side in style[2:4]]
        if style[:1] and style[0] & 1 and len(style) > 6 + resolution:
            whole = style[6 + resolution] & 15, style[6 + resolution] >> 4
            precincts += share / 2 ** sum(whole)
            # A block ends with its precinct, which but for the first resolution is of three bands together.
            sides = [
                min(side, max(0, one - (resolution > 0))) for side, one in zip(sides, whole, strict=True)
            ]
        blocks += share / 2 ** sum(sides)
    return blocks, precincts
