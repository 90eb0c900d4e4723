"""Images decoded while the ones before them are worked on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from datasets.rated.sets import RatedImage
from utils.errors import UserError

# Images in memory besides the one that is worked on.
DECODED_AHEAD = 2

Decoded = TypeVar("Decoded")


def read_ahead(
    images: Sequence[RatedImage], read: Callable[[RatedImage], Decoded]
) -> Iterator[Decoded | str]:
    """For each image in order what `read` makes of it, or in words why it cannot be read."""
    with ThreadPoolExecutor(1) as decoder:
        ahead: deque[Future[Decoded]] = deque()
        waiting = iter(images)
        for image in images:
            while len(ahead) <= DECODED_AHEAD and (following := next(waiting, None)) is not None:
                ahead.append(decoder.submit(read, following))
            try:
                decoded: Decoded | str = ahead.popleft().result()
            except UserError as error:
                decoded = str(error).removeprefix(f"{image.path}: ")
            except MemoryError:
                decoded = "does not fit in memory"
            yield decoded
