"""A cold process: one image scored, against `import torch` alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.timing import Row, in_turns

ROOT = Path(__file__).resolve().parent.parent


def rows(img_dir: Path | None) -> Iterator[Row]:
    """One sample image, and the help of a command; python itself is the reference of the latter."""
    score = partial(run, "test_zeroshot.py", "--test_img_path", "samples/coffee.jpg", "--branch", "low")
    yield in_turns("one image from a cold process", "import torch", partial(run, "-c", "import torch"), score)
    yield in_turns("--help", "python", partial(run, "-c", ""), partial(run, "test_zeroshot.py", "--help"))


def run(*words: str) -> None:
    """A process of this interpreter."""
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True, capture_output=True)
