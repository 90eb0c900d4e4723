"""What the tests of hostile files share; the makers of files are plain modules beside them."""

import json
import os
import sys
from pathlib import Path

import pytest

import score_images
from configs import Settings
from Evaluation import GRepQ

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="module")
def model():
    return GRepQ(Settings(branch="low", device="cpu")).load()


@pytest.fixture
def score(model, tmp_path, capsys, monkeypatch):
    """Run the command: (exit status, what each row tells by name, what it said)."""
    monkeypatch.setattr("Evaluation.grepq.GRepQ", lambda settings, say: model)  # loaded once for all

    def run(*arguments):
        output = tmp_path / "scores.jsonl"
        paths = [os.fspath(one) for one in arguments]
        status = score_images.main(
            [*paths, "--output", str(output), "--overwrite", "--branch", "low", "--device", "cpu"]
        )
        said = capsys.readouterr().err
        assert "Traceback" not in said
        told = {}
        if status < 2:
            for line in output.read_text().splitlines()[1:]:
                row = json.loads(line)
                good = row["status"] == "ok"
                told[row["image"]] = (
                    f"{row['width']}x{row['height']} {row['reason']}" if good else row["reason"]
                )
        return status, told, said

    return run
