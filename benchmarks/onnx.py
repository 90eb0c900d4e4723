"""The ONNX graph of the low-level branch, which needs no torch, against the model that it was made of."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.start import run
from benchmarks.timing import Row, in_turns

ROOT = Path(__file__).resolve().parent.parent


def rows(img_dir: Path | None) -> Iterator[Row]:
    """A cold process that scores one image by the lines of README.md, and a score at 500 x 500."""
    import onnxruntime

    from Evaluation.grepq import GRepQ
    from Evaluation.onnx_graph import pattern
    from tools.export_onnx import main

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with contextlib.redirect_stdout(io.StringIO()):
            main([str(folder / "graphs"), "--branch", "low"])
        (folder / "samples").mkdir()
        shutil.copy(ROOT / "samples" / "coffee.jpg", folder / "samples")
        cold = partial(
            subprocess.run, [sys.executable, "-c", lines()], cwd=folder, check=True, capture_output=True
        )
        score = partial(run, "test_zeroshot.py", "--test_img_path", "samples/coffee.jpg", "--branch", "low")
        yield in_turns("one image from a cold process, ONNX", "with torch", score, cold)

        session = onnxruntime.InferenceSession(folder / "graphs" / "low.onnx")
        model, image = GRepQ.from_pretrained(branch="low", device="cpu"), pattern(500, 500)
        graph = partial(session.run, None, {"image": image})
        scores: Any = model.score(image)
        remark = f"differs by {abs(graph()[0].item() - scores.q_low):.0e}"
        yield in_turns(
            "extended score, 500 x 500, ONNX", "OpenVINO", partial(model.score, image), graph, remark=remark
        )


def lines() -> str:
    """The lines of README.md that score an image without torch."""
    [found] = re.findall(
        r"```python\n(import numpy.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL
    )
    return found
