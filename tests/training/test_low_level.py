"""Two steps of training, and the schedule, against the authors' (float64 1e-8; float32 as noted)."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import synthetic_weights
import torch
from PIL import Image
from safetensors import safe_open

from configs import RELEASED_LOW_LEVEL, LowLevelTraining
from datasets.version_folders import VersionFolder
from datasets.version_pairs import Batch, VersionPairs
from losses.distortion_targets import distortion_target_loss
from losses.quality_aware import quality_aware_loss
from models.low_level import LowLevelEncoder
from models.weights.files import save_tensors
from models.weights.low_level import from_authors, to_authors
from training.low_level import learning_rates, low_level_loss, low_level_task, read_sets
from utils.errors import UserError
from utils.files import file_sha256


def two_steps(numbers, dtype):
    """The authors' two steps: (model, losses, gradient norms, parameters) by their names."""
    model = LowLevelEncoder()
    model.load_state_dict(from_authors(synthetic_weights.low_level_state_dict(0), "synthetic"))
    model.to(dtype)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=4, eta_min=1e-6)
    views = [
        torch.from_numpy(numbers[f"train_{name}_uint8"]).permute(0, 1, 4, 2, 3).float().div(255).to(dtype)
        for name in ("frames", "augmentations")
    ]
    matrix = torch.from_numpy(numbers["train_matrix"]).to(dtype)
    names = [name for name in numbers["train_param_names"].tolist() if ".fc." not in name]
    places = [numbers["train_param_names"].tolist().index(name) for name in names]
    losses, gradients, parameters = [], [], []
    for _ in range(2):
        features = [model(view.flatten(0, 1)).unflatten(0, view.shape[:2]) for view in views]
        loss = quality_aware_loss(*features, matrix)
        optimiser.zero_grad()
        loss.backward()
        grads = to_authors({key: p.grad for key, p in model.named_parameters()})
        gradients.append([grads[name].norm().item() for name in names])
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
        values = to_authors(model.state_dict())
        parameters.append([values[name].flatten()[:8].detach().clone().numpy() for name in names])
    return model, losses, np.array(gradients), parameters, places


@pytest.mark.parametrize(
    ("name", "dtype", "of_loss", "of_gradient", "of_parameter"),
    [("f64", torch.float64, 1e-8, 1e-6, 1e-8), ("f32", torch.float32, 1e-5, 1e-3, 1e-6)],
)
def test_two_steps_equal_the_authors(parity, name, dtype, of_loss, of_gradient, of_parameter):
    numbers = parity("train")
    model, losses, gradients, parameters, places = two_steps(numbers, dtype)
    for step in (0, 1):
        assert losses[step] == pytest.approx(numbers[f"train_step{step}_loss_{name}"].item(), abs=of_loss)
        norms = numbers[f"train_step{step}_grad_norm_{name}"][places]
        np.testing.assert_allclose(gradients[step], norms, rtol=of_gradient)
        expected = numbers[f"train_step{step}_param_first8_{name}"][places]
        for ours, theirs in zip(parameters[step], expected, strict=True):
            np.testing.assert_allclose(ours, theirs[: len(ours)], atol=of_parameter)
    bn = model.resnet.bn1
    np.testing.assert_allclose(bn.running_mean, numbers[f"train_bn1_running_mean_{name}"], atol=of_parameter)
    np.testing.assert_allclose(bn.running_var, numbers[f"train_bn1_running_var_{name}"], atol=of_parameter)
    assert bn.num_batches_tracked == 4
    model.eval()
    frames = torch.from_numpy(numbers["train_frames_uint8"]).permute(0, 1, 4, 2, 3).float().div(255).to(dtype)
    with torch.no_grad():
        features = model(frames.flatten(0, 1))
    tolerance = {"f64": 1e-6, "f32": 5e-3}[name]
    np.testing.assert_allclose(features, numbers[f"train_after2_eval_features_{name}"], atol=tolerance)


def test_the_schedule_equals_the_authors(parity):
    expected = parity("train")["sched_llm_lr"]
    np.testing.assert_allclose(rates_of(RELEASED_LOW_LEVEL, 100), expected, rtol=0, atol=1e-15)


def rates_of(config, steps):
    optimiser = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=config.learning_rate)
    schedule = learning_rates(optimiser, config, steps)
    rates = []
    for _ in range(steps + 1):
        rates.append(schedule.get_last_lr()[0])
        optimiser.step()
        schedule.step()
    return rates


def test_the_rate_rises_in_a_line_and_falls_in_half_a_cosine():
    config = LowLevelTraining(learning_rate=0.5, final_learning_rate=0.1, warmup_steps=4)
    rates = rates_of(config, 12)
    np.testing.assert_allclose(rates[:5], (0.1, 0.2, 0.3, 0.4, 0.5))
    np.testing.assert_allclose(rates[4:], 0.1 + 0.2 * (1 + np.cos(np.pi * np.arange(9) / 8)))
    # A run shorter than its rise does not fail.
    assert rates_of(config, 2)[:2] == pytest.approx((0.25, 0.5))


@pytest.mark.parametrize("rise", [0, 4])
def test_each_cycle_has_the_rates_of_a_run_of_its_length(rise):
    config = LowLevelTraining(epochs=4, warmup_steps=rise)
    cycles = rates_of(dataclasses.replace(config, epochs=12, warm_restarts=2), 36)
    np.testing.assert_allclose(cycles[:36], 3 * rates_of(config, 12)[:12], rtol=1e-12)


def test_targets_teach_both_views_at_once():
    """The loss of a batch with targets is the regression of its two views, the same targets for each."""
    torch.manual_seed(1)
    # BatchNorm tells one pass of all images from one of each view.
    model = torch.nn.Sequential(
        torch.nn.BatchNorm2d(3), torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(12, 6)
    )
    views, targets = torch.rand(2, 7, 3, 8, 8), torch.rand(7, 4)
    targets[2, 0] = torch.nan
    batch = Batch(views[0], views[1], [torch.eye(3), torch.eye(4)], targets, ["a", "b"])
    config = LowLevelTraining(objective="targets")
    loss = low_level_loss(model, batch, config, torch.device("cpu"), torch.float32, torch.channels_last)
    features = model(views.flatten(0, 1)).unflatten(0, (2, 7))
    expected = sum(distortion_target_loss(view, targets).item() for view in features) / 2
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    apart = sum(distortion_target_loss(model(view), targets).item() for view in views) / 2
    assert loss.item() != pytest.approx(apart, rel=1e-5)


def test_folders_with_different_numbers_of_versions_make_one_mean_over_rows():
    torch.manual_seed(1)
    # BatchNorm sees one view at a time.
    model = torch.nn.Sequential(
        torch.nn.BatchNorm2d(3), torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(12, 6)
    )
    config = LowLevelTraining()
    counts = (3, 5, 3)
    views = torch.rand(2, sum(counts), 3, 8, 8)
    similarities = [torch.rand(count, count) * 0.3 + 0.7 for count in counts]
    batch = Batch(views[0], views[1], similarities, torch.empty(11, 0), ["a", "b", "c"])
    loss = low_level_loss(model, batch, config, torch.device("cpu"), torch.float32, torch.channels_last)
    expected = 0.0
    for f, g, a in zip(
        model(views[0]).split(counts), model(views[1]).split(counts), similarities, strict=True
    ):
        one = quality_aware_loss(f[None], g[None], a[None], config.temperature, config.alpha_exponent)
        expected += len(a) * one.item() / sum(counts)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_the_names_of_all_sets_are_read_before_fsim(tmp_path, monkeypatch):
    for name in ("good/a/00_REF", "good/a/01_jpeg_0.50", "bad/a/00_REF", "bad/a/blurred"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 64)).save(tmp_path / f"{name}.bmp")
    monkeypatch.setattr("training.low_level.annotator_matrices", None)
    config = LowLevelTraining(data=(f"{tmp_path}/good", f"{tmp_path}/bad"), objective="targets")
    with pytest.raises(UserError, match=r"bad/a/blurred\.bmp: its name does not tell"):
        read_sets(config, torch.device("cpu"))


def test_training_starts_from_a_file_of_weights(tmp_path, monkeypatch):
    images = VersionPairs(
        [VersionFolder(Path("a"), (Path("a/0.png"), Path("a/1.png")))], [np.eye(2)], LowLevelTraining()
    )
    monkeypatch.setattr("training.low_level.read_sets", lambda *_: images)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(5)
    wanted = LowLevelEncoder()
    save_tensors(wanted, Path("first.safetensors"), {}, torch.float16)
    config = LowLevelTraining(start="first.safetensors", start_share=0.25, ema=0.9, device="cpu")
    task = low_level_task(config)
    # A run is not gone on with when its start has changed.
    save_tensors(LowLevelEncoder(), Path("second.safetensors"), {}, torch.float16)
    other = low_level_task(dataclasses.replace(config, start="second.safetensors"))
    assert other.data != task.data
    for key, value in wanted.state_dict().items():
        expected = value.half().float() if value.is_floating_point() else value
        assert torch.equal(task.model.state_dict()[key], expected)
        assert torch.equal(task.average.module.state_dict()[key], expected)
    assert task.model.training
    # What is exported stands between the start and the mean over steps.
    with torch.no_grad():
        for parameter in task.average.module.parameters():
            parameter += 1
    with safe_open(task.export(tmp_path / "out", 7), "pt") as file:
        assert file.metadata()["start_sha256"] == file_sha256("first.safetensors")
        weight = file.get_tensor("head.0.weight")
    torch.testing.assert_close(weight, wanted.head[0].weight.detach().half().float() + 0.75)
    # Said before the sets are read, which may take minutes.
    monkeypatch.setattr("training.low_level.read_sets", None)
    with pytest.raises(UserError, match=r"'start' takes random, cosines or a file of weights, not 'cosine'"):
        low_level_task(dataclasses.replace(config, start="cosine"))
