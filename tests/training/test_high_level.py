"""Training of the high-level encoder on a tiny CLIP: what changes, what stays, and that it learns."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from configs import HighLevelTraining
from losses.group_contrastive import group_contrastive_loss
from models.high_level import HighLevelEncoder, antonym_quality
from models.weights.high_level import load_clip, load_high_level
from training.high_level import ProjectedEncoder, high_level_loss, high_level_task, warmed_up
from training.loop import fit
from training.run_folder import make_run_folder, read_log
from utils.errors import UserError


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    root = tmp_path_factory.mktemp("batch_size")
    generator = np.random.default_rng(0)
    for number in range(8):
        colour = generator.integers(0, 256, 3)
        noise = generator.normal(0, 10 * number, (70, 66 - number, 3))
        Image.fromarray((colour + noise).clip(0, 255).astype(np.uint8)).save(root / f"{number}.png")
    return root


@pytest.fixture
def config(photographs, tiny_clip_file):
    return HighLevelTraining(
        data=(str(photographs),), clip_weights=str(tiny_clip_file), batch_size=8, group_size=3, crop=64,
        epochs=3, warmup_epochs=1, learning_rate=1e-3, device="cpu", precision="float32", workers=0,
    )  # fmt: skip


def train(config, path):
    """(state before, task after, log, weights)"""
    run = make_run_folder(path, {})
    task = high_level_task(config)
    before = {key: value.clone() for key, value in task.model.state_dict().items()}
    weights = fit(task, config, run)
    return before, task, read_log(run / "log.jsonl"), weights


def changed(before, task, part):
    after = task.model.state_dict()
    return {
        key for key in after if part in key and not torch.equal(before[key], after[key])
    }  # fmt: skip


def test_the_schedule_equals_the_authors(parity):
    optimiser = torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=1e-6)
    schedule = warmed_up(optimiser, HighLevelTraining().warmup_epochs, 7)
    rates = []
    for _ in range(30):
        rates.append(schedule.get_last_lr()[0])
        optimiser.step()
        schedule.step()
    np.testing.assert_allclose(rates, parity("train")["sched_hlm_lr"], rtol=0, atol=1e-18)
    assert warmed_up(optimiser, 0, 7).get_last_lr() == [1e-6]


def test_the_loss_is_of_the_projections_of_the_worst_and_the_best(tiny_clip_file, config):
    encoder = HighLevelEncoder(load_clip(tiny_clip_file).visual, "none")
    model = ProjectedEncoder(encoder, config)
    features, text = torch.randn(10, 64), torch.randn(1, 2, 64)
    loss, figures = high_level_loss(model, features, text, config)
    quality, order = antonym_quality(features, text).sort(stable=True)
    projected = F.linear(features, model.projection.weight, model.projection.bias).relu()
    expected = group_contrastive_loss(projected[order[:3]], projected[order[-3:]], config.temperature)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6)
    assert figures["quality_low"].item() == pytest.approx(quality[:3].mean().item(), abs=1e-6)
    assert figures["quality_high"].item() == pytest.approx(quality[-3:].mean().item(), abs=1e-6)
    model.activation = torch.nn.Identity()
    assert high_level_loss(model, features, text, config)[0].item() != pytest.approx(loss.item(), abs=1e-3)


def test_few_photographs_are_learned_by_heart_and_the_groups_are_logged(config, tmp_path):
    _, _, log, _ = train(dataclasses.replace(config, epochs=30), tmp_path)
    losses = [line["loss"] for line in log]
    assert np.mean(losses[:3]) > 1.0
    assert np.mean(losses[-3:]) < 0.6 * np.mean(losses[:3])
    assert all(0 < line["quality_low"] < line["quality_high"] < 1 for line in log)
    gaps = [line["quality_high"] - line["quality_low"] for line in log]
    assert np.mean(gaps[-3:]) > 2 * np.mean(gaps[:3])


def test_as_released_the_projection_stays_and_the_statistics_follow(config, tmp_path):
    before, task, log, _ = train(config, tmp_path)
    assert log[0]["learning_rate"] == 0 and log[1]["learning_rate"] == 1e-3
    assert changed(before, task, "projection") == set()
    statistics = {key for key in before if "running" in key or "num_batches" in key}
    assert len(statistics) > 20 and changed(before, task, "bn") >= {k for k in statistics if ".bn" in k}
    # All of the encoder learns but the keys' bias, which falls out of the softmax.
    trained = {f"encoder.visual.{key}" for key, _ in task.model.encoder.visual.named_parameters()}
    assert trained - changed(before, task, "visual") == {"encoder.visual.attnpool.k_proj.bias"}


def test_the_other_choices_train_the_projection_and_keep_the_statistics(config, tmp_path):
    other = dataclasses.replace(
        config, projection="trained", projection_activation="none", batch_norm="frozen", positions="none"
    )
    before, task, _, _ = train(other, tmp_path)
    assert changed(before, task, "projection") == {"projection.weight", "projection.bias"}
    assert changed(before, task, "running") == changed(before, task, "num_batches") == set()
    assert "encoder.visual.bn1.weight" in changed(before, task, "bn1")
    assert "encoder.visual.attnpool.positional_embedding" not in changed(before, task, "attnpool")


def test_mixed_precision_leaves_the_loss_nearly_as_it_is(config):
    losses = []
    for precision in ("float32", "bfloat16"):
        task = high_level_task(dataclasses.replace(config, precision=precision))
        loss, figures = task.loss(next(iter(task.batches(0))))
        assert loss.dtype == figures["quality_low"].dtype == torch.float32
        losses.append(loss.item())
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], abs=0.05)


def test_weights_are_the_image_encoder_under_clips_names(config, tmp_path, tiny_clip_file):
    _, task, _, path = train(config, tmp_path)
    names = {key.removeprefix("visual.") for key in load_file(tiny_clip_file) if key.startswith("visual.")}
    assert set(load_file(path)) == names
    weights = load_high_level(tiny_clip_file, path, config.prompts, "interpolate")
    assert weights.metadata["steps"] == "3" and '"group_size": 3' in weights.metadata["configuration"]
    task.model.eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(weights.encoder(images), task.model(images), atol=1e-5)


def test_other_photographs_or_another_clip_are_not_gone_on_with(config, tmp_path, tiny_clip_file):
    run = make_run_folder(tmp_path, {})
    fit(high_level_task(config), config, run)
    state = load_file(tiny_clip_file)
    save_file({**state, "logit_scale": state["logit_scale"] + 1}, tmp_path / "other.safetensors")
    other_clip = dataclasses.replace(config, clip_weights=str(tmp_path / "other.safetensors"))
    copies = tmp_path / "copies"
    copies.mkdir()
    for number in range(8):
        Image.new("RGB", (70, 70), (number, 0, 0)).save(copies / f"{number}.png")
    for other in (other_clip, dataclasses.replace(config, data=(str(copies),))):
        with pytest.raises(UserError, match="has changed since its checkpoint"):
            fit(high_level_task(other), other, run, resume=True)


def test_what_cannot_be_trained_on_is_named_before_training(config, tmp_path):
    with pytest.raises(UserError, match=r"8 image\(s\) are too few .* --set batch_size=8"):
        high_level_task(dataclasses.replace(config, batch_size=9))
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"1 file\(s\) of the set.*\n.*broken\.png: is not an image"):
        high_level_task(dataclasses.replace(config, data=(*config.data, str(tmp_path))))
    with pytest.raises(UserError, match=r"There are no CLIP weights: .* --set clip_weights=FILE"):
        high_level_task(dataclasses.replace(config, clip_weights=""))
