"""Weights of CLIP in each of their formats, and of the fine-tuned encoder; each fault is named."""

import warnings

import pytest
import torch
from safetensors.torch import load_file

from models.weights.clip import import_clip
from models.weights.files import save_tensors
from models.weights.high_level import (
    find_high_level,
    load_clip,
    load_high_level,
    text_features,
)
from utils.errors import UserError

PROMPTS = ("A good photo.", "A bad photo.")


@pytest.fixture
def state(tiny_clip_file):
    return load_file(tiny_clip_file)


def archive(path, tensors):
    """A TorchScript archive as OpenAI's: in half precision, with three numbers among the tensors."""
    model = import_clip().model.build_model(dict(tensors))
    for name in ("input_resolution", "context_length", "vocab_size"):
        if hasattr(model, name):
            delattr(model, name)
        model.register_buffer(name, torch.tensor(64))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(
            torch.jit.trace_module(model.float(), {"encode_image": torch.rand(1, 3, 64, 64)}), path
        )
    return path


def test_each_format_gives_the_same_model(tmp_path, tiny_clip_file, state):
    rounded = {key: value.half() if value.ndim > 1 else value for key, value in state.items()}
    torch.save(state, tmp_path / "whole.pth")
    torch.save(rounded, tmp_path / "half.pt")
    expected = load_clip(tiny_clip_file).state_dict()
    assert all(torch.equal(expected[key], value) for key, value in state.items())
    whole, half = (load_clip(tmp_path / name).state_dict() for name in ("whole.pth", "half.pt"))
    assert all(torch.equal(whole[key], value) for key, value in expected.items())
    assert all(torch.equal(half[key], rounded[key].float() if value.is_floating_point() else value)
               for key, value in expected.items())  # fmt: skip
    scripted = load_clip(archive(tmp_path / "RN50.pt", state))
    assert torch.equal(scripted.visual.conv1.weight, state["visual.conv1.weight"].half().float())
    assert scripted.visual.conv1.weight.dtype == torch.float32


def test_loading_says_nothing(recwarn, tmp_path, state):
    load_clip(archive(tmp_path / "RN50.pt", state))
    assert [str(warning.message) for warning in recwarn] == []


def test_fine_tuned_weights_are_loaded_strictly(tmp_path, tiny_clip_file, state):
    visual = {key.removeprefix("visual."): value for key, value in state.items() if key.startswith("visual.")}
    visual["conv1.weight"] = visual["conv1.weight"] + 1
    torch.save(visual, tmp_path / "tuned.pth")
    weights = load_high_level(tiny_clip_file, tmp_path / "tuned.pth", PROMPTS, "none")
    assert torch.equal(weights.encoder.visual.conv1.weight, visual["conv1.weight"])
    assert not weights.encoder.training and weights.text.shape == (1, 2, 64)
    stock = load_high_level(tiny_clip_file, None, PROMPTS, "none")
    assert stock.path is stock.sha256 is None
    # What our own training writes is read back.
    save_tensors(weights.encoder.visual, tmp_path / "ours.safetensors", {"steps": "3"})
    again = load_high_level(tiny_clip_file, tmp_path / "ours.safetensors", PROMPTS, "none")
    assert again.metadata["steps"] == "3"
    torch.testing.assert_close(again.encoder.state_dict(), weights.encoder.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize(("change", "sentence"), [
    (lambda visual: {f"visual.{key}": value for key, value in visual.items()}, "'conv1.weight' of the image"),
    (lambda visual: visual | {"proj": torch.zeros(1)}, "'proj' does not belong to the image encoder"),
    (lambda visual: visual | {"conv1.weight": torch.zeros(4, 3, 3, 1)}, "'conv1.weight' has shape"),
    (lambda visual: {"encoder": visual}, "expected a state dict of CLIP's image encoder"),
])  # fmt: skip
def test_other_fine_tuned_weights_are_refused(tmp_path, tiny_clip_file, state, change, sentence):
    visual = {key.removeprefix("visual."): value for key, value in state.items() if key.startswith("visual.")}
    torch.save(change(visual), tmp_path / "tuned.pth")
    with pytest.raises(UserError, match=r"tuned\.pth: ") as caught:
        load_high_level(tiny_clip_file, tmp_path / "tuned.pth", PROMPTS, "none")
    assert sentence in str(caught.value)


def test_other_clip_files_are_refused(tmp_path, state):
    no_text = {key: value for key, value in state.items() if key != "text_projection"}
    odd = state | {"extra": torch.zeros(1)}
    cases = {
        "vit.pt": ({"visual.proj": torch.zeros(2, 2)}, "holds no CLIP with a ResNet"),
        "list.pt": ([1, 2], "expected a state dict of CLIP"),
        "part.pt": (no_text, "the tensors make no CLIP model"),
        "odd.pt": (odd, "the tensors make no CLIP model"),
    }
    for name, (content, sentence) in cases.items():
        torch.save(content, tmp_path / name)
        with pytest.raises(UserError, match=rf"{name}: .*{sentence}"):
            load_clip(tmp_path / name)
    (tmp_path / "dot.pt").write_bytes(b".")  # torch ends with an IndexError on it
    with pytest.raises(UserError, match=r"dot\.pt: not a readable torch weights file \(IndexError\)"):
        load_clip(tmp_path / "dot.pt")
    for name in ("cut.pt", "cut.safetensors"):
        (tmp_path / name).write_bytes(b"PK\x03\x04 cut short")
        with pytest.raises(UserError, match="not a readable"):
            load_clip(tmp_path / name)


def test_prompts_come_in_pairs(tiny_clip_file):
    model = load_clip(tiny_clip_file)
    two = text_features(model, (*PROMPTS, "Sharp.", "Blurred."))
    assert two.shape == (2, 2, 64)
    torch.testing.assert_close(two[0], text_features(model, PROMPTS)[0])
    for wrong in ((), ("one",), (*PROMPTS, "three")):
        with pytest.raises(UserError, match="Prompts come in pairs"):
            text_features(model, wrong)
    with pytest.raises(UserError, match="too long"):
        text_features(model, ("word " * 100, "bad"))


def test_an_encoder_of_data_parallel_is_taken(tiny_clip_file, tmp_path):
    stock = load_high_level(tiny_clip_file, None, PROMPTS, "none")
    state = {f"module.{key}": value for key, value in stock.encoder.visual.state_dict().items()}
    torch.save(state, tmp_path / "parallel.pth")
    loaded = load_high_level(tiny_clip_file, tmp_path / "parallel.pth", PROMPTS, "none")
    image = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(loaded.encoder(image), stock.encoder(image))


def test_the_authors_encoder_is_used_where_it_was_put(tmp_path, monkeypatch):
    monkeypatch.setattr("models.weights.high_level.AUTHORS_HIGH_LEVEL", tmp_path / "high.pth")
    assert find_high_level() is None
    (tmp_path / "high.pth").touch()
    assert find_high_level() == tmp_path / "high.pth"
