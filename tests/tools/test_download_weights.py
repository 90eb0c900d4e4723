"""tools.download_weights: exit statuses and one sentence, never a traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

from models.weights.clip import import_clip
from utils.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def steps(monkeypatch):
    """What the two steps do: nothing, or raise the error that is put here; `done` lists those begun."""

    def step(name):
        def act(*_):
            errors["done"].append(name)
            if name in errors:
                raise errors[name]

        return act

    errors = {"done": []}
    monkeypatch.setattr("models.weights.clip.fetch_clip", step("clip"))
    monkeypatch.setattr("models.weights.authors.fetch_authors_files", step("grepq"))
    return errors


def test_a_wrong_architecture_is_one_sentence_and_the_package_is_quiet():
    done = subprocess.run(
        [sys.executable, "-m", "tools.download_weights", "clip", "--architecture", "ViT-B/32"],
        capture_output=True, text=True, cwd=ROOT)  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "ViT-B/32: not one of CLIP's ResNets, which are RN50, RN101, RN50x4, RN50x16, RN50x64.\n"
    )


@pytest.mark.parametrize(("what", "done"), [("clip", ["clip"]), ("grepq", ["grepq"]),
                                            ("all", ["clip", "grepq"])])  # fmt: skip
def test_what_is_asked_is_done_clip_first(run_script, steps, what, done):
    assert run_script("tools.download_weights", what)[0] == 0
    assert steps["done"] == done


@pytest.mark.parametrize("failing", ["clip", "grepq"])
def test_all_does_both_and_ends_with_the_worse_status(run_script, steps, failing):
    steps[failing] = UserError("not here")
    status, _, err = run_script("tools.download_weights", "all")
    assert (status, err) == (2, "not here\n")
    assert steps["done"] == ["clip", "grepq"]


def test_ctrl_c_is_130(run_script, steps):
    import_clip()
    steps["clip"] = KeyboardInterrupt()
    status, _, err = run_script("tools.download_weights", "all")
    assert (status, err) == (130, "Interrupted.\n")
