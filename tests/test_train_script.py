"""train.py as a user calls it, on a tiny set: a run's folder, exact resume, clear errors."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from models.low_level_weights import load_low_level

ROOT = Path(__file__).resolve().parent.parent
TINY = ["photographs=2", "versions=3", "grid=1", "piece=32", "epochs=4", "precision=float32", "device=cpu"]


def train(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, ROOT / "train.py", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


def finish(process):
    output, errors = process.communicate(timeout=300)
    return process.returncode, output, errors


@pytest.fixture(scope="module")
def tiny_set(tmp_path_factory):
    root = tmp_path_factory.mktemp("sets") / "tiny"
    generator = np.random.default_rng(0)
    for name in "abcde":
        folder = root / name
        folder.mkdir(parents=True)
        pixels = generator.integers(0, 256, (48, 56, 3))
        for level in range(3 + (name == "c")):
            faded = (pixels * (1 - 0.3 * level)).clip(0, 255).astype(np.uint8)
            Image.fromarray(faded).save(folder / f"{level}{'_REF' if level == 0 else ''}.png")
    return root


@pytest.fixture(scope="module")
def whole_run(tiny_set, tmp_path_factory):
    results = tmp_path_factory.mktemp("whole")
    status, output, errors = finish(train("--set", f"data={tiny_set}", f"results={results}", *TINY))
    assert status == 0, errors
    return results / "Run0001", output


def test_a_run_leaves_configuration_log_plot_tensorboard_and_weights(whole_run):
    run, output = whole_run
    config = json.loads((run / "config_details.json").read_text())
    assert (config["run_type"], config["piece"]) == ("ll_model_train", 32)
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(12))  # 5 folders by 2: 3 steps an epoch
    assert lines[0]["learning_rate"] == config["learning_rate"]
    assert lines[-1]["learning_rate"] < lines[0]["learning_rate"] / 20
    assert Image.open(run / "loss.png").size == (800, 450)
    assert list((run / "Logs").glob("events*"))
    weights = load_low_level(run / "Train" / "final.safetensors")
    assert weights.metadata["steps"] == "12"
    assert str(run / "Train" / "final.safetensors") in output


def test_a_killed_run_resumes_to_the_same_bits(whole_run, tiny_set, tmp_path):
    killed = train("--set", f"data={tiny_set}", f"results={tmp_path}", *TINY, "checkpoint_minutes=0")
    run = tmp_path / "Run0001"
    until = time.monotonic() + 120
    while not (run / "Train" / "latest.pt").is_file():
        assert time.monotonic() < until
        assert killed.poll() is None, killed.communicate()[1]
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert not (run / "Train" / "final.safetensors").exists()
    status, _, errors = finish(train("--resume", run))
    assert status == 0, errors
    resumed, whole = (load_file(path / "Train" / "final.safetensors") for path in (run, whole_run[0]))
    assert all(np.array_equal(resumed[key].numpy(), whole[key].numpy()) for key in whole)
    steps = [json.loads(line)["step"] for line in (run / "log.jsonl").read_text().splitlines()]
    assert steps == list(range(12))


def test_bad_input_is_one_sentence_and_status_2(tiny_set, tmp_path):
    cases = [
        (["--set", "epoch=3"], "did you mean 'epochs'"),
        (["--preset", "release"], "released"),
        (["--set", f"data={tmp_path}/none"], "there is no such set"),
        (["--resume", tmp_path / "Run0007"], "Run0007"),
        (["--resume", "--set", f"results={tmp_path}"], "--set"),
        (["--set", f"data={tiny_set}", "device=cuda:7"], "cuda:7"),
    ]
    processes = [train(*arguments) for arguments, _ in cases]
    for process, (_, words) in zip(processes, cases, strict=True):
        status, _, errors = finish(process)
        assert status == 2, errors
        assert words in errors
        assert "Traceback" not in errors
        assert len(errors.strip().splitlines()) == 1
