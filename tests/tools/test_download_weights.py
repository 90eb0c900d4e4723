"""download_weights.py: exit statuses and one sentence, never a traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

from models.weights.clip import import_clip

ROOT = Path(__file__).resolve().parents[2]


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["download_weights.py", *arguments])
    return download_weights.main()


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
    monkeypatch.setattr(download_weights, "fetch_clip", step("clip"))
    monkeypatch.setattr(download_weights, "fetch_authors_files", step("grepq"))
    return errors


def test_a_wrong_architecture_is_one_sentence_and_the_package_is_quiet(tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / "download_weights.py"), "clip", "--architecture", "ViT-B/32"],
        capture_output=True, text=True, cwd=tmp_path)  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == ("download_weights.py: ViT-B/32: not one of CLIP's ResNets, which are "
                           "RN50, RN101, RN50x4, RN50x16, RN50x64.\n")  # fmt: skip


@pytest.mark.parametrize(("what", "done"), [("clip", ["clip"]), ("grepq", ["grepq"]),
                                            ("all", ["clip", "grepq"])])  # fmt: skip
def test_what_is_asked_is_done_clip_first(monkeypatch, steps, what, done):
    assert run(monkeypatch, what) == 0
    assert steps["done"] == done


@pytest.mark.parametrize("failing", ["clip", "grepq"])
def test_all_does_both_and_ends_with_the_worse_status(monkeypatch, steps, failing, capsys):
    steps[failing] = PermissionError("not here")
    assert run(monkeypatch, "all") == 2
    assert steps["done"] == ["clip", "grepq"]
    assert capsys.readouterr().err == "download_weights.py: not here\n"


def test_an_interruption_ends_it(monkeypatch, steps, capsys):
    steps["clip"] = KeyboardInterrupt()
    assert run(monkeypatch, "all") == 130
    assert steps["done"] == ["clip"]
    assert capsys.readouterr().err == "Interrupted; run it again for the rest.\n"


@pytest.mark.parametrize("arguments", [[], ["everything"], ["clip", "--to", "here"]])
def test_wrong_arguments_are_one_sentence(monkeypatch, steps, arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, *arguments)
    assert caught.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_no_server_is_one_sentence_with_the_way_by_hand(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(import_clip().clip, "_MODELS", {"RN50": "http://127.0.0.1:1/abc/RN50.pt"})
    assert run(monkeypatch, "clip") == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("download_weights.py: http://127.0.0.1:1/abc/RN50.pt: could not be fetched (")
    assert len(said.err.splitlines()) == 1
