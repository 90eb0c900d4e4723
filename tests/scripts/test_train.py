"""train.py as a user calls it, on a tiny set: a run's folder, exact resume, clear errors."""

import dataclasses
import importlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from models.weights.high_level import load_high_level
from models.weights.low_level import load_low_level
from training.checkpoint import read_checkpoint

ROOT = Path(__file__).resolve().parents[2]
TINY = [
    "batch_size=2", "versions=3", "fragments_per_side=1", "fragment_size=48",
    "early_fragment_size=32", "early_epochs=1", "epochs=4",
    "warm_restarts=1", "warmup_steps=1", "ema=0.9", "precision=float32", "device=cpu",
]  # fmt: skip
HIGH = ["--run_type", "hl_model_train"]
TWO_PROCESSES = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
TINY_HIGH = ["batch_size=4", "group_size=2", "crop=64", "epochs=12", "precision=float32", "device=cpu"]


def train(*arguments, launcher=(), **options):
    return subprocess.Popen(
        [sys.executable, *launcher, ROOT / "train.py", *arguments],
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


def here(*arguments):
    """The exit status and what was printed of a run in this process."""
    import train as script

    printed = io.StringIO()
    with redirect_stdout(printed):
        status = script.main([*map(str, arguments)])
    return status, printed.getvalue()


@pytest.fixture(scope="module")
def whole_run(tiny_set, tmp_path_factory):
    results = tmp_path_factory.mktemp("whole")
    status, output = here("--set", f"data={tiny_set}", f"results={results}", *TINY)
    assert status == 0
    return results / "Run0001", output


def test_a_run_leaves_configuration_log_plot_tensorboard_and_weights(whole_run):
    run, output = whole_run
    config = json.loads((run / "config_details.json").read_text())
    assert (config["run_type"], config["fragment_size"]) == ("ll_model_train", 48)
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(12))  # 5 folders by 2: 3 steps an epoch
    rates = [line["learning_rate"] for line in lines]
    assert rates[:2] == [config["learning_rate"] / 2, config["learning_rate"]]
    assert rates[5] < config["learning_rate"] / 10
    assert rates[6:] == pytest.approx(rates[:6])
    assert Image.open(run / "loss.png").size == (800, 450)
    assert list((run / "Logs").glob("events*"))
    weights = load_low_level(run / "Train" / "final.safetensors")
    assert weights.metadata["steps"] == "12"
    assert str(run / "Train" / "final.safetensors") in output


@pytest.fixture(scope="module")
def high_run(tiny_set, tiny_clip_file, tmp_path_factory):
    """Arguments of a high-level run, its folder and what it printed."""
    results = tmp_path_factory.mktemp("high")
    arguments = [*HIGH, "--set", f"data={tiny_set}", f"clip_weights={tiny_clip_file}", *TINY_HIGH]
    status, output = here(*arguments, f"results={results}")
    assert status == 0
    return arguments, results / "Run0001", output


def kill_when_checkpointed(process, run, steps=0, kill=os.kill):
    """Kill a run that has a checkpoint and, where `steps` is given, more steps than that in its log."""
    until, log = time.monotonic() + 120, run / "log.jsonl"
    while not ((run / "Train" / "latest.pt").is_file() and log.read_text().count("\n") > steps):
        assert time.monotonic() < until
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (run / "Train" / "final.safetensors").exists()


def assert_same_bits(run, whole, steps):
    ours, theirs = (load_file(path / "Train" / "final.safetensors") for path in (run, whole))
    assert all(np.array_equal(ours[key].numpy(), theirs[key].numpy()) for key in theirs)
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(steps))


def kill_children(parent, number):
    for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        os.kill(int(child), number)


@pytest.mark.parametrize("steps", [0, 7], ids=["first_cycle", "second_cycle"])
def test_a_killed_run_resumes_to_the_same_bits(whole_run, tiny_set, tmp_path, steps):
    run = tmp_path / "Run0001"
    arguments = ["--set", f"data={tiny_set}", f"results={tmp_path}", *TINY, "checkpoint_minutes=0"]
    kill_when_checkpointed(train(*arguments), run, steps)
    status, _, errors = finish(train("--resume", run))
    assert status == 0, errors
    assert_same_bits(run, whole_run[0], 12)


def test_a_killed_high_level_run_resumes_to_the_same_bits_without_its_type(high_run, tmp_path):
    arguments, whole, _ = high_run
    run = tmp_path / "Run0001"
    kill_when_checkpointed(train(*arguments, f"results={tmp_path}", "checkpoint_minutes=0"), run)
    status, output, errors = finish(train("--resume", run))
    assert status == 0, errors
    assert f"Going on with {run}" in output
    assert_same_bits(run, whole, 12)


def test_a_high_level_run_logs_its_groups_and_leaves_weights_that_load(high_run, tiny_clip_file):
    _, run, output = high_run
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert all(0 < line["quality_low"] < line["quality_high"] < 1 for line in lines)
    weights = run / "Train" / "final.safetensors"
    assert load_high_level(tiny_clip_file, weights, ("good", "bad"), "none").metadata["steps"] == "12"
    assert f"--hl_model_weights_path {weights}" in output
    assert f"--clip_weights {tiny_clip_file}" in output


def test_two_processes_make_the_groups_and_the_update_of_one(high_run, tmp_path):
    arguments, _, _ = high_run
    changes = [
        "epochs=2",
        "warmup_epochs=0",
        "learning_rate=3e-4",
        "projection=trained",
        "checkpoint_minutes=0",
    ]
    runs = [tmp_path / name / "Run0001" for name in ("one", "two")]
    for run, start in zip(runs, ((), TWO_PROCESSES), strict=True):
        process = train(*arguments, *changes, f"results={run.parent}", launcher=start)
        status, output, errors = finish(process)
        assert status == 0, errors
        assert output.count("Training into") == output.count("Weights:") == 1
    one, two = ([json.loads(line) for line in (run / "log.jsonl").open()] for run in runs)
    for figure in ("loss", "quality_low", "quality_high"):
        for ours, theirs in zip(two, one, strict=True):
            assert ours[figure] == pytest.approx(theirs[figure], abs=1e-4)
    one, two = (read_checkpoint(run / "Train" / "latest.pt") for run in runs)
    for key, value in one["model"].items():
        assert torch.allclose(two["model"][key], value, rtol=0, atol=1e-4), key
    # Adam's running mean of the gradients: what the update is made of, before it is brought to one size.
    for place, state in one["optimiser"]["state"].items():
        mean = state["exp_avg"]
        difference = two["optimiser"]["state"][place]["exp_avg"] - mean
        assert difference.norm() <= 1e-4 * mean.norm() + 1e-9, place


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="children are found in /proc")
def test_a_run_of_two_processes_goes_on_with_one(high_run, tmp_path):
    arguments, whole, _ = high_run
    run = tmp_path / "Run0001"
    process = train(*arguments, f"results={tmp_path}", "checkpoint_minutes=0", launcher=TWO_PROCESSES)
    kill_when_checkpointed(process, run, 2, kill_children)
    status, _, errors = finish(train("--resume", run))
    assert status == 0, errors
    ours, theirs = ([json.loads(line) for line in (path / "log.jsonl").open()] for path in (run, whole))
    assert [line["step"] for line in ours] == list(range(12))
    for one, other in zip(ours, theirs, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-3)


def test_bad_input_is_one_sentence_and_status_2(tiny_set, tiny_clip_file, tmp_path, monkeypatch, capsys):
    cases = [
        (["--set", "epoch=3"], "did you mean 'epochs'"),
        (["--preset", "release"], "released"),
        (["--set", f"data={tmp_path}/none"], "there is no such set"),
        (["--resume", f"{tmp_path}/Run0007"], "Run0007"),
        (["--resume", "--set", f"results={tmp_path}"], "--set"),
        (["--set", f"data={tiny_set}", "device=cuda:7"], "cuda:7"),
        (["--preset", "distortion_targets", "--set", f"data={tiny_set}"], "1.png: its name does not tell"),
        ([*HIGH, "--set", f"data={tiny_set}"], "no CLIP weights"),
        ([*HIGH, "--set", f"data={tiny_set}", f"clip_weights={tiny_clip_file}"], "batch_size=5"),
    ]
    script = importlib.import_module("train")
    for arguments, words in cases:
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
        assert script.main() == 2
        (sentence,) = capsys.readouterr().err.splitlines()
        assert words in sentence


def test_distortion_targets_are_learnt(tmp_path, run_script):
    """From images to weights whose feature 0 parts white noise from the reference."""
    photos = tmp_path / "photos"
    photos.mkdir()
    generator = np.random.default_rng(0)
    for name in "ab":
        pixels = np.kron(generator.integers(0, 256, (20, 20, 3)), np.ones((8, 8, 1))).astype(np.uint8)
        Image.fromarray(pixels).save(photos / f"{name}.png")
    made = run_script(
        "tools.synthesize_distortions", "--photos", photos, "--output", tmp_path / "set", "--preset",
        "camera", "--workers", 1, "--set", "kinds=white_noise", "levels=0.4,0.7,1", "crop_size=128",
    )  # fmt: skip
    assert made[0] == 0, made[2]
    settings = [f"data={tmp_path / 'set'}", f"results={tmp_path}", *TINY, "epochs=20", "warmup_steps=5"]
    status, _, errors = finish(train("--preset", "distortion_targets", "--set", *settings))
    assert status == 0, errors
    weights = load_low_level(tmp_path / "Run0001" / "Train" / "final.safetensors")
    assert json.loads(weights.metadata["configuration"])["objective"] == "targets"
    folder = next(path for path in sorted((tmp_path / "set").iterdir()) if path.is_dir())
    images = np.stack([np.asarray(Image.open(path)) for path in sorted(folder.iterdir())])
    with torch.inference_mode():
        said = weights.model(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)[:, 0]
    assert (said.diff() > 0).all() and said[3] > said[0] + 0.3, said


def test_torchrun_is_refused_for_the_low_level_branch(tiny_set):
    # What torchrun tells each of its processes.
    several = os.environ | {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}
    status, _, errors = finish(train("--set", f"data={tiny_set}", env=several))
    assert status == 2
    assert "one process: call python, not torchrun" in errors
    assert len(errors.strip().splitlines()) == 1


def test_without_a_set_there_is_a_short_run_on_the_samples(monkeypatch, tmp_path, capsys):
    """Their distorted versions are made once; a set that is named must be there."""
    import train as script

    tiny = dataclasses.replace(
        script.TRY_OUT,
        synthesis=dataclasses.replace(script.TRY_OUT.synthesis, versions=2, crops=1, crop_size=96),
        training=dataclasses.replace(
            script.TRY_OUT.training, epochs=1, batch_size=3, versions=3, fragment_size=32
        ),
    )
    monkeypatch.setattr(script, "TRY_OUT", tiny)
    monkeypatch.chdir(tmp_path)
    assert script.main([]) == 0
    first, *_, last = capsys.readouterr().out.splitlines()
    assert "no training set at data/distorted" in first and "--set data=DIR" in first
    assert last == "python train.py"
    made = {path: path.stat().st_mtime_ns for path in tmp_path.glob("Results/distorted_samples/*/*")}
    assert len(made) == 9
    for name in ("loss.png", "log.jsonl", "Train/latest.pt", "Train/final.safetensors"):
        assert (tmp_path / "Results/LLM/Run0001" / name).is_file()
    assert script.main([]) == 0
    assert made == {path: path.stat().st_mtime_ns for path in tmp_path.glob("Results/distorted_samples/*/*")}
    assert script.main(["--set", "data=gone"]) == 2
    assert "gone: there is no such set" in capsys.readouterr().err
