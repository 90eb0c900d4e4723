"""Images decoded while the ones before them are worked on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import torch

from datasets.decoder import read_image
from utils.errors import UserError

# Images in memory besides the one that is worked on.
DECODED_AHEAD = 2


def read_ahead(paths: Sequence[Path]) -> Iterator[torch.Tensor | str]:
    """For each path in order the image (3, H, W) in [0, 1], or in words why it cannot be read."""
    with ThreadPoolExecutor(1) as decoder:
        ahead: deque[Future[torch.Tensor]] = deque()
        waiting = iter(paths)
        for path in paths:
            while len(ahead) <= DECODED_AHEAD and (following := next(waiting, None)) is not None:
                ahead.append(decoder.submit(read_image, following))
            try:
                image: torch.Tensor | str = ahead.popleft().result()
            except UserError as error:
                image = str(error).removeprefix(f"{path}: ")
            except MemoryError:
                image = "does not fit in memory"
            yield image
