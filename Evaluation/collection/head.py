"""What the scores of a table depend on, and the rows of an earlier table that depend on the same."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from configs import VERSION
from Evaluation.collection import rows, table
from Evaluation.collection.rows import Row
from Evaluation.grepq import GRepQ
from Evaluation.zeroshot import RANGES
from utils.errors import UserError

# Settings that no score depends on, and those for which checksums stand.
HOW = ("device", "engine", "jobs", "chunk", "decoding_megabytes", "branch", "low", "high", "clip", "pristine")
# Of the head of a table: where its relative names begin.
FOLDER = "folder"


def head_of(model: GRepQ) -> dict[str, Any]:
    """All that the scores of a loaded model depend on, for the head of a table."""
    settings = dataclasses.asdict(model.settings)
    branches = {"q_low": model.encoders.has_low, "q_high": model.encoders.has_high}
    ranges = {name: RANGES[name] for name, there in branches.items() if there}
    if len(ranges) == 2:
        ranges["q"] = RANGES["q"]
    head = {
        "score": model.name,
        "direction": "higher is better",
        "ranges": ranges,
        **model.encoders.checksums(),
        "pristine_sha256": model.pristine.patches_sha256 if model.encoders.has_low else None,
        "settings": {name: value for name, value in settings.items() if name not in HOW},
        "version": VERSION,
        FOLDER: str(Path.cwd()),
    }
    return json.loads(json.dumps(head))  # lists for tuples, as a file gives it back


def known_rows(output: Path, head: table.Head) -> dict[str, Row]:
    """The rows that an earlier run left, whether it came to its end or not, by `rows.key` of their images.

    Raises:
        UserError: they were made by other weights or settings, or their names begin in another folder.
    """
    known: dict[str, Row] = {}
    for path in dict.fromkeys((output, table.growing_file(output))):
        if not path.is_file() or not path.stat().st_size:
            continue
        earlier, found = table.read(path)
        if other := differing(earlier, head):
            raise UserError(
                f"{path}: its scores were made otherwise ({', '.join(other)}); name another table with "
                "--output, or write over it with --overwrite."
            )
        if earlier.get(FOLDER) != head[FOLDER] and not all(rows.is_whole(row.image) for row in found):
            raise UserError(
                f"{path}: its images are named from {earlier.get(FOLDER)}; go on from there, or write over "
                "it with --overwrite."
            )
        known |= {
            rows.key(row.image): dataclasses.replace(row, image=rows.printable(row.image)) for row in found
        }
    return known


def differing(earlier: table.Head, head: table.Head) -> list[str]:
    """Names of what differs between two heads, but for where their names begin."""

    def flat(one: table.Head) -> dict[str, Any]:
        settings = one.get("settings")
        inner = settings if isinstance(settings, dict) else {}
        named = {name: value for name, value in one.items() if name not in ("settings", FOLDER)}
        return {**named, **{f"settings.{name}": value for name, value in inner.items()}}

    one, other = flat(earlier), flat(head)
    return [name for name in {**one, **other} if one.get(name) != other.get(name)]
