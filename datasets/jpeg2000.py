"""What a JPEG 2000 file asks of its decoder beside its pixels: memory for each tile, code block and precinct.

Markers and fields are those of ISO/IEC 15444-1, annex A.
"""

from __future__ import annotations

import math
import re

# Bytes that OpenJPEG takes for each, of a component; of a tile once.
_OF_TILE, _OF_BLOCK, _OF_PRECINCT = 13_000, 250, 400
# Codestreams that are looked at; an image has one.
_MOST_STREAMS = 8
_SIZ, _COD, _COC, _SOT, _SOD = 0xFF51, 0xFF52, 0xFF53, 0xFF90, 0xFF93


def structure_bytes(data: bytes) -> float:
    """Memory for tiles, code blocks and precincts, of the codestream in a file that takes most.

    Code blocks and precincts are as small everywhere as the smallest that a header tells.
    """
    starts = [found.start() for found in re.finditer(b"\xff\x4f\xff\x51", data)]
    return max((_of_codestream(data, start + 2) for start in starts[:_MOST_STREAMS]), default=0.0)


def _of_codestream(data: bytes, at: int) -> float:
    def number(place: int, size: int) -> int:
        return int.from_bytes(data[place : place + size], "big")

    samples = tiles = components = 0
    block, precinct, sot = 1 << 30, 1 << 30, at
    while at + 2 < len(data):
        marker, length = number(at, 2), number(at + 2, 2)
        if marker == _SOD:  # after which the next part of a tile follows, if its length is told
            part = number(sot + 6, 4)
            if part < 14:
                break
            at = sot + part
            continue
        if marker == _SOT:
            sot = at
        elif marker == _SIZ:
            (x, y, left, top, wide, high), across = (
                [number(at + 6 + 4 * k, 4) for k in range(6)], (number(at + 30, 4), number(at + 34, 4))
            )  # fmt: skip
            components = number(at + 38, 2)
            samples = max(0, x - left) * max(0, y - top) * components
            tiles = math.ceil((x - across[0]) / max(1, wide)) * math.ceil((y - across[1]) / max(1, high))
        elif marker in (_COD, _COC):
            style = at + 4 if marker == _COD else at + (5 if components < 257 else 6)
            levels = style + (5 if marker == _COD else 1)
            sides = [number(levels + k, 1) + 2 for k in (1, 2)]
            own = [number(levels + 5 + k, 1) for k in range(number(levels, 1) + 1)] if data[style] & 1 else []
            for value in own:
                exponents = (value & 15, value >> 4)
                precinct = min(precinct, 1 << sum(exponents))
                sides = [min(side, max(0, one - 1)) for side, one in zip(sides, exponents, strict=True)]
            block = min(block, 1 << sum(sides))
        at += 2 + max(2, length)
    return tiles * _OF_TILE + samples / block * _OF_BLOCK + samples / precinct * _OF_PRECINCT
