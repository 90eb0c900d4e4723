"""Which images are labelled and which are tested on: seeded splits, and the file that gives them back.

A split puts its pool of images in one random order; its first n are labelled, so 50 are within 100
within 200 and the numbers of labels compare on the same draw.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from configs import VERSION, FewLabels
from datasets.rated.sets import RatedImage
from Evaluation.metrics import FEWEST
from utils.errors import UserError
from utils.files import atomic_path

KIND = "few_labels_splits"
# Names that are listed one by one in a sentence.
_MOST_NAMED = 5


@dataclass(frozen=True)
class Split:
    """Split `number`: images to label, in the order in which they are taken, and those to test on.

    Without `test`, all that was not labelled is tested on.
    """

    number: int
    seed: int
    pool: tuple[str, ...]
    test: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """Of both lists of names in their order."""
        return hashlib.sha256(json.dumps([self.pool, self.test]).encode()).hexdigest()

    def labelled(self, count: int) -> tuple[str, ...]:
        """The first `count` of the pool.

        Raises:
            UserError: there are not so many, or too few are left to test on.
        """
        if count > len(self.pool):
            raise UserError(
                f"--n_labels {count}: split {self.number} has {len(self.pool)} images to label; name fewer."
            )
        if len(self.test or self.pool[count:]) < FEWEST:
            remedy = "take a larger set, or --protocol rest" if self.test else "name fewer labels"
            raise UserError(
                f"--n_labels {count}: split {self.number} leaves fewer than {FEWEST} images to test on; "
                f"{remedy}."
            )
        return self.pool[:count]

    def tested(self, count: int) -> tuple[str, ...]:
        """The images to test on when `count` are labelled."""
        return self.test or self.pool[count:]


@dataclass(frozen=True)
class SplitFile:
    """Splits with how they were drawn; `source` names the file they were read from."""

    set_name: str
    protocol: str
    rule: str
    seed: int
    splits: tuple[Split, ...]
    source: str = ""

    @property
    def sha256(self) -> str:
        """Of all splits in their order."""
        return hashlib.sha256("".join(split.sha256 for split in self.splits).encode()).hexdigest()


def settings_for(settings: FewLabels, given: SplitFile | None) -> FewLabels:
    """The settings of a run: what given splits decide is theirs, numbers of labels are there once, in order.

    So it is the same run whichever way the numbers are written.
    """
    settings = replace(settings, n_labels=tuple(sorted(set(settings.n_labels))))
    if given is None:
        return settings
    decided: dict[str, Any] = {"protocol": given.protocol, "seed": given.seed}
    return replace(settings, splits=len(given.splits), **decided)


def choose_splits(
    set_name: str, images: Sequence[RatedImage], settings: FewLabels, given: SplitFile | None
) -> SplitFile:
    """The splits that were given, all their images there, else splits that are drawn."""
    if given is None:
        return draw_splits(set_name, images, settings)
    check_names(given, [image.name for image in images], set_name)
    return given


def draw_splits(set_name: str, images: Sequence[RatedImage], settings: FewLabels) -> SplitFile:
    """The splits of a set by the protocol of `settings`.

    Names are sorted first, so that the order of a score file does not matter.

    Raises:
        UserError: the images are too few, of one content, or have no official parts.
    """
    images = sorted(images, key=lambda image: image.name)
    rule = _rule(images, settings)
    splits = []
    for number in range(settings.splits):
        random = np.random.default_rng([settings.seed, number])
        if settings.protocol == "official":
            pool = [image.name for image in images if image.split in ("train", "validation")]
            test = [image.name for image in images if image.split == "test"]
        elif settings.protocol == "rest":
            pool, test = [image.name for image in images], []
        else:
            pool, test = _by_content(images, settings.test_share, random)
        order = random.permutation(len(pool))
        splits.append(Split(number, settings.seed, tuple(pool[k] for k in order), tuple(test)))
    return SplitFile(set_name, settings.protocol, rule, settings.seed, tuple(splits))


def write_splits(path: Path, content: SplitFile) -> None:
    """Write the splits as JSON."""
    splits = [
        {"number": split.number, "sha256": split.sha256, "test": split.test, "pool": split.pool}
        for split in content.splits
    ]
    heads = {
        "set": content.set_name,
        "protocol": content.protocol,
        "rule": content.rule,
        "seed": content.seed,
    }
    text = json.dumps({"kind": KIND, "version": VERSION, **heads, "splits": splits}, indent=1)
    with atomic_path(path) as part:
        part.write_text(text + "\n", encoding="utf-8")


def read_splits(path: Path, most: int | None = None) -> SplitFile:
    """The splits that `write_splits` wrote; the first `most` of them where that is given.

    Raises:
        UserError: the file is missing, not of this kind, or holds fewer, or its names are not those of its
            hashes.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: is no readable split file ({error}).") from None
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise UserError(f"{path}: is no split file; test_data_efficient.py writes one as splits.json.")
    try:
        seed = int(content["seed"])
        splits = tuple(_split(path, entry, seed) for entry in content["splits"])
        set_name, protocol, rule = (str(content[key]) for key in ("set", "protocol", "rule"))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: is no split file of this version ({error!r}).") from None
    if not splits:
        raise UserError(f"{path}: holds no split.")
    if most is not None and most > len(splits):
        raise UserError(f"--splits {most}: {path} holds {len(splits)}.")
    return SplitFile(set_name, protocol, rule, seed, splits[:most], str(path))


def check_names(content: SplitFile, names: Sequence[str], set_name: str) -> None:
    """Raise `UserError`, naming them, where images of the splits are not among `names`."""
    there = set(names)
    absent = sorted({name for split in content.splits for name in (*split.pool, *split.test)} - there)
    if absent:
        more = ", ..." if len(absent) > _MOST_NAMED else ""
        raise UserError(
            f"{content.source}: {len(absent)} of its images are not among those of {set_name} with "
            f"features and score: {', '.join(absent[:_MOST_NAMED])}{more}; splits are taken with exactly "
            "their images."
        )


def _split(path: Path, entry: Mapping[str, Any], seed: int) -> Split:
    pool, test = entry["pool"], entry["test"]
    if not all(isinstance(name, str) for name in (*pool, *test)):
        raise TypeError("a name is not a text")
    split = Split(int(entry["number"]), seed, tuple(pool), tuple(test))
    if split.sha256 != entry["sha256"]:
        raise UserError(f"{path}: the names of split {split.number} are not those of its sha256.")
    if len({*pool, *test}) != len(pool) + len(test):
        raise UserError(f"{path}: split {split.number} names an image twice.")
    return split


def _rule(images: Sequence[RatedImage], settings: FewLabels) -> str:
    """How the splits are drawn, in words for the protocol line; refuses what cannot be drawn."""
    contents = {_content(image) for image in images}
    shared = len(contents) < len(images)
    official = any(image.split for image in images)
    if settings.protocol == "official":
        parts = {image.split for image in images}
        if "test" not in parts or not parts & {"train", "validation"}:
            raise UserError(
                "--protocol official: the set has no official training and test part; take --protocol "
                "published or rest."
            )
        return "labels from the official training and validation parts, test on the official test part"
    unused = "; the official parts are not used" if official else ""
    if settings.protocol == "rest":
        both = ", of whose contents some were" if shared else ""
        return f"labels from all images, test on every image that was not labelled{both}{unused}"
    if len(contents) < 2:
        raise UserError("--protocol published: all images are of one content; take --protocol rest.")
    share = round(100 * settings.test_share)
    unit = "contents, none on both sides" if shared else "images"
    return f"labels from a random {100 - share} % of the {unit}, test on the other {share} %{unused}"


def _by_content(
    images: Sequence[RatedImage], test_share: float, random: np.random.Generator
) -> tuple[list[str], list[str]]:
    """Names to label from and to test on, no content among both."""
    contents = sorted({_content(image) for image in images})
    count = min(len(contents) - 1, max(1, math.floor(test_share * len(contents) + 0.5)))
    chosen = {contents[k] for k in random.permutation(len(contents))[:count]}
    sides: tuple[list[str], list[str]] = ([], [])
    for image in images:
        sides[_content(image) in chosen].append(image.name)
    return sides


def _content(image: RatedImage) -> tuple[str, str]:
    """A reference shared with others, or the image alone."""
    return ("", image.name) if image.reference is None else ("reference", image.reference)
