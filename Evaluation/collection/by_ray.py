"""The scores of a collection by workers of Ray, as a folder of Parquet shards that is gone on with.

Workers measure; the process that began them, the driver, alone writes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pickle
import platform
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from configs import Settings
from datasets.collection import Collection
from datasets.rated.sets import RatedImage
from Evaluation.collection import table
from Evaluation.collection.head import differing, head_of
from Evaluation.collection.ray_cluster import connect, import_ray, messages, share, told
from Evaluation.collection.ray_images import Found, Named, digest, digests, find, packed, unpacked
from Evaluation.collection.rows import Row, row_of
from Evaluation.collection.run import summary_of
from Evaluation.collection.shards import Shards, check_folder
from Evaluation.grepq import GRepQ
from utils.cli import say
from utils.errors import UserError

# Paths that a worker is given at a time.
TASK_IMAGES = 64
# An image that was alone with its worker when this ended, so many times, is not given to another.
MOST_LOST = 2


def score_by_ray(
    settings: Settings, paths: Sequence[str], lists: Sequence[str], output: Path | None, overwrite: bool
) -> int:
    """Score what has no score yet into shards in the folder `output`, and tell a summary of all they hold.

    Returns:
        The exit status, as `score_collection`.

    Raises:
        UserError: Ray is missing or gone, or as `score_collection`.
    """
    ray, folder, found = import_ray(), check_folder(output), find(paths, lists)
    model = GRepQ(dataclasses.replace(settings, jobs=1, device="cpu"), say)
    shards = Shards(folder, head_of(model.load()), overwrite)
    images = [image for image in found.images if digest(image.name) not in shards.done]
    if shards.done:
        left = f"; of {len(found.images)} images {len(images)} are left" if found.images else ""
        say(f"{folder}: holds {len(shards.done)} images with a score, which are kept{left}.")
    began, passed_over, complete = time.monotonic(), Collection(), True
    total = None if found.sources else len(images)
    try:
        with (
            shards,
            tqdm(total=total, desc="Scoring", unit="image", disable=total in (0, 1)) as bar,
            messages(),
        ):
            for rows, others, again in _scored(ray, settings, Found(images, found.sources), shards):
                shards.add(rows)
                for name in others:
                    passed_over.pass_over(name)
                if again:
                    say("A worker ended before its work did; its images are measured again, one by one.")
                bar.update(len(rows))
    except KeyboardInterrupt:
        complete = False
    for sentence in (*passed_over.sentences(), *shards.sentences()):
        say(sentence)
    pace = shards.added / (time.monotonic() - began) if shards.added else None
    for line in summary_of(model, shards.scores, len(shards.failed), pace):
        print(line)
    if not complete:
        say(f"Interrupted: {shards.added} new rows are in {folder}; the same command goes on.")
        return 130
    return 1 if shards.new_failed else 0


class Attempts:
    """How often the same work was begun and not ended, for all workers."""

    def __init__(self) -> None:
        self.begun: Counter[bytes] = Counter()

    def begin(self, work: bytes) -> int:
        """How often it was begun before and not ended."""
        self.begun[work] += 1
        return self.begun[work] - 1

    def end(self, work: bytes) -> None:
        """It is done."""
        del self.begun[work]


class Worker:
    """The model of a process of Ray."""

    def __init__(
        self, settings: Settings, head: table.Head, threads: int, folder: str, attempts: Any
    ) -> None:
        """Read the weights.

        Raises:
            UserError: they are not those of the driver.
        """
        with contextlib.suppress(OSError):  # not there on another machine, where paths have to be whole
            os.chdir(folder)
        torch.set_num_threads(threads)
        self.model, self.attempts = GRepQ(settings), attempts
        if differing(head_of(self.model.load()), head):
            raise UserError(f"{platform.node()}: has other weights or another version than where this began.")

    def __call__(self, block: Any) -> dict[str, list[bytes]]:
        """The rows of some images, the names of what is none, and whether a worker ended over them."""
        images = unpacked(block)
        others = [one.name for one in images if isinstance(one.path, Named) and not one.path.is_image]
        wanted = [one for one in images if not isinstance(one.path, Named) or one.path.is_image]
        # Where a worker ended over these images, each by itself tells which of them it is.
        key = digest("\0".join(one.name for one in wanted))
        again = self._begin(key) > 0
        if again:
            rows = [self._alone(one) for one in wanted]
        else:
            rows = [row_of(row) for row in self.model.score_images(wanted)]
        self.attempts.end.remote(key)
        return {"rows": [pickle.dumps((rows, others, again))]}

    def _begin(self, work: bytes) -> int:
        import ray

        return ray.get(self.attempts.begin.remote(work))

    def _alone(self, image: RatedImage) -> Row:
        key = digest(image.name)
        lost = self._begin(key)
        if lost >= MOST_LOST:
            reason = f"its process ended {MOST_LOST} times while it was measured: memory may be short."
            return Row(image.name, None, None, None, None, None, "failed", reason)
        row = row_of(next(self.model.score_images([image])))
        self.attempts.end.remote(key)
        return row


def _scored(
    ray: Any, settings: Settings, found: Found, shards: Shards
) -> Iterator[tuple[list[Row], list[str], bool]]:
    """What `Worker` makes of some images, as it is done.

    Raises:
        UserError: a worker cannot begin, files cannot be read, or the cluster is gone.
    """
    if not found.images and not found.sources:
        return
    try:
        connect(ray)
        size = max(1, min(TASK_IMAGES, len(found.images) // (4 * settings.jobs)))
        blocks = [packed(found.images[k : k + size]) for k in range(0, len(found.images), size)]
        parts = [ray.data.from_arrow(blocks)] if blocks else []
        known = ray.put(digests(shards.done))
        parts += [source.dataset(ray, known) for source in found.sources]
        images = parts[0].union(*parts[1:]) if len(parts) > 1 else parts[0]
        # Ray begins a worker that is lost, and its work, anew.
        attempts = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Attempts).remote()
        scored = images.map_batches(
            Worker, batch_size=None, batch_format="pyarrow", **share(ray, settings, shards.head, attempts)
        )
        for batch in scored.iter_batches(batch_size=None, batch_format="pyarrow"):
            yield from map(pickle.loads, batch["rows"].to_pylist())
    except ray.exceptions.RayError as error:
        raise told(ray, error) from error
    finally:
        ray.shutdown()
