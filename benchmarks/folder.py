"""A folder of images: against one image at a time by eager torch, and what several processes give."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from benchmarks import reference
from benchmarks.memory import ROOT
from benchmarks.timing import Row, in_turns
from configs import Settings
from Evaluation.grepq import GRepQ

IMAGES = 40
MANY = 500
ALONE = """
import resource, sys
from Evaluation import GRepQ
folder, count = sys.argv[1], int(sys.argv[2])
from pathlib import Path
paths = sorted(Path(folder).iterdir())
model = GRepQ.from_pretrained(branch="low", device="cpu").load()
rows = list(model.score_images([paths[k % len(paths)] for k in range(count)]))
used = resource.getrusage(resource.RUSAGE_SELF)
print(100 * used.ru_stime / (used.ru_utime + used.ru_stime), used.ru_maxrss / 2**20)
"""


def rows(img_dir: Path | None) -> Iterator[Row]:
    """The peak of memory of 40 and of 500 images, the share of system time, seconds of 40."""
    with tempfile.TemporaryDirectory() as folder:
        sample = Image.open(ROOT / "samples" / "coffee.jpg")
        paths = [Path(folder) / f"{k:03}.jpg" for k in range(IMAGES)]
        for k, path in enumerate(paths):
            sample.rotate(k).resize((500, 500)).save(path, quality=90)

        # First, because a process reports at least the peak of the one that started it.
        for count in (IMAGES, MANY):
            call = [sys.executable, "-c", ALONE, folder, str(count)]
            done = subprocess.run(call, cwd=ROOT, check=True, capture_output=True, text=True)
            share, peak = map(float, done.stdout.split())
            yield Row(f"{count} images: peak of memory", "", [], [peak], "GiB")
        yield Row(f"{MANY} images: system time", "", [], [share], "% of all")
        low, other = reference.low_level(), reference.semantic()
        models = [GRepQ(Settings(branch="low", device="cpu", jobs=jobs)).load() for jobs in (1, 2)]

        def eager() -> None:
            for path in paths:
                reference.extended(path, low, other)

        for jobs, model in zip((1, 2), models, strict=True):
            work = f"extended score of {IMAGES} images of 500 x 500, jobs {jobs}"
            remark = "their start included" if jobs > 1 else ""

            def here(model: GRepQ = model) -> None:
                list(model.score_images(paths))

            yield in_turns(work, "one at a time, eager", eager, here, 3, remark)
