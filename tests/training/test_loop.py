"""The loop on a task of two numbers: what it saves, logs and stops on."""

import json

import pytest
import torch

from configs import LowLevelTraining
from training.checkpoint import read_checkpoint
from training.loop import LossError, Task, fit
from training.run_folder import checkpoint_of, last_run, make_run_folder, read_log
from utils.errors import UserError

CONFIG = LowLevelTraining(epochs=3, export_epochs=2, checkpoint_minutes=60.0)


def tiny_task(bad_step=None, epochs=3, data="line"):
    """Four steps an epoch of fitting a line; the loss of `bad_step` is not a number."""
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 1)
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=4 * epochs)
    exported = []

    def loss(step):
        x = torch.randn(8, 2)  # from the global generator, whose state a checkpoint must hold
        value = (model(x) - x.sum(1, keepdim=True)).square().mean()
        return (value * float("nan") if step == bad_step else value), {"part_low": value.detach() / 2}

    def export(path, steps):
        exported.append((path.name, steps))
        return path

    return Task(
        model, optimiser, schedule, 4, lambda first: range(first, 4 * epochs), data, loss,
        lambda step: [f"image {step}"], export, "score {}",
    ), exported  # fmt: skip


def test_checkpoints_come_at_each_epochs_end_and_weights_when_asked(tmp_path):
    run = make_run_folder(tmp_path, {})
    task, exported = tiny_task()
    assert fit(task, CONFIG, run) == run / "Train" / "final"
    assert exported == [("epoch_002", 8), ("final", 12)]
    content = read_checkpoint(checkpoint_of(run))
    assert content["step"] == 12
    assert content["config"]["epochs"] == CONFIG.epochs
    lines = read_log(run / "log.jsonl")
    assert [line["epoch"] for line in lines] == [0] * 4 + [1] * 4 + [2] * 4
    assert lines[0]["learning_rate"] == 0.1  # the rate of the step, not of the next
    assert all(0 <= line["waited"] <= line["seconds"] for line in lines)
    assert all(line["part_low"] == pytest.approx(line["loss"] / 2) for line in lines)


def test_a_loss_that_is_not_finite_stops_and_a_resumed_run_equals_a_whole_one(tmp_path):
    whole, _ = tiny_task()
    fit(whole, CONFIG, make_run_folder(tmp_path, {}))
    stopped, exported = tiny_task(bad_step=6)
    run = make_run_folder(tmp_path, {})
    with pytest.raises(LossError, match=r"step 6 is nan, on image 6\. What is kept in .*Train is of before"):
        fit(stopped, CONFIG, run)
    assert exported == []
    assert read_checkpoint(checkpoint_of(run))["step"] == 4
    assert len(read_log(run / "log.jsonl")) == 6
    resumed, _ = tiny_task()
    fit(resumed, CONFIG, run, resume=True)
    for mine, theirs in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    assert [line["step"] for line in read_log(run / "log.jsonl")] == list(range(12))


def test_a_run_does_not_go_on_with_other_data(tmp_path):
    run = make_run_folder(tmp_path, {})
    fit(tiny_task()[0], CONFIG, run)
    with pytest.raises(UserError, match="what it trains on has changed"):
        fit(tiny_task(data="curve")[0], CONFIG, run, resume=True)


def test_weights_that_are_not_finite_replace_nothing(tmp_path):
    run = make_run_folder(tmp_path, {})
    task, _ = tiny_task()

    def overflow(*_):
        if task.schedule.last_epoch == 7:  # the last step of the second epoch
            task.model.weight.data[0, 0] = float("inf")

    task.optimiser.register_step_post_hook(overflow)
    with pytest.raises(LossError, match=r"After step 7 'weight' holds values that are not finite"):
        fit(task, CONFIG, run)
    assert read_checkpoint(checkpoint_of(run))["step"] == 4


def test_runs_are_numbered_and_never_overwritten(tmp_path):
    assert [make_run_folder(tmp_path, {"epochs": n}).name for n in range(3)] == [
        "Run0001",
        "Run0002",
        "Run0003",
    ]
    (tmp_path / "Run0007").mkdir()
    (tmp_path / "Run0007x").mkdir()
    assert make_run_folder(tmp_path, {}).name == "Run0008"
    assert json.loads((tmp_path / "Run0002" / "config_details.json").read_text()) == {"epochs": 1}
    (tmp_path / "Run10000").mkdir()
    assert last_run(tmp_path).name == "Run10000"  # by number, not by name
    with pytest.raises(UserError, match="no run to go on with"):
        last_run(tmp_path / "Run0001")


def test_a_damaged_or_foreign_checkpoint_is_named(tmp_path):
    path = tmp_path / "latest.pt"
    with pytest.raises(UserError, match=r"latest\.pt: the run has no checkpoint"):
        read_checkpoint(path)
    path.write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(UserError, match=r"latest\.pt: not a readable checkpoint"):
        read_checkpoint(path)
    torch.save({"epoch": 3}, path)
    with pytest.raises(UserError, match="not a checkpoint of this version"):
        read_checkpoint(path)
