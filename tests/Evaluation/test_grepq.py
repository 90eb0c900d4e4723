"""What a script is told about the encoders that its arguments ask for."""

import argparse

import pytest

from configs import Settings
from Evaluation.grepq import add_encoder_arguments, load_encoders
from models.weights.files import file_sha256, save_tensors
from models.weights.high_level import load_high_level
from utils.errors import UserError


def load(*arguments):
    """The encoders and all that is said."""
    parser, said = argparse.ArgumentParser(), []
    add_encoder_arguments(parser)
    return load_encoders(parser.parse_args([*map(str, arguments)]), Settings(), said.append), said


def test_weights_of_the_branch_that_is_left_out_are_named(tiny_clip_file):
    encoders, said = load("--branch", "low", "--clip_weights", tiny_clip_file)
    assert encoders.high is None
    assert said == ["Branch: low-level (as asked). Not used: --clip_weights."]
    encoders, said = load("--branch", "high", "--clip_weights", tiny_clip_file)
    assert encoders.low is None
    assert said == ["Branch: high-level (as asked)."]


def test_high_level_weights_without_clip_are_refused_with_two_remedies():
    with pytest.raises(UserError, match=r"download_weights\.py clip.*or use --branch low\."):
        load("--hl_model_weights_path", "x.pth")


def test_an_encoder_of_another_clip_is_said(tiny_clip_file, tmp_path):
    visual = load_high_level(tiny_clip_file, None, Settings.prompts, "none").encoder.visual
    for name, sha256 in (("own", file_sha256(tiny_clip_file)), ("other", "0" * 64)):
        save_tensors(visual, tmp_path / f"{name}.safetensors", {"clip_sha256": sha256})
        tuned = ("--hl_model_weights_path", tmp_path / f"{name}.safetensors")
        _, said = load("--branch", "high", "--clip_weights", tiny_clip_file, *tuned)
        assert any("fine-tuned from another file" in sentence for sentence in said) == (name == "other")
