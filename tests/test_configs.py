"""Overrides from the command line: right types, and errors that help."""

import dataclasses
import json

import pytest

from configs import TRAINING_PRESETS, FewLabels, HighLevelTraining, LowLevelTraining, Settings, Synthesis
from models.weights.low_level import DEFAULT_LOW_LEVEL, load_low_level
from utils.config_fields import from_saved, override
from utils.errors import UserError


def test_values_take_the_type_of_their_field():
    config = override(LowLevelTraining(), ["epochs=3", "learning_rate=1e-3", "data=a,b", "loss_form=outside"])
    assert (config.epochs, config.learning_rate, config.data) == (3, 1e-3, ("a", "b"))
    assert config.loss_form == "outside"
    assert override(Synthesis(), ["levels=.2,.9", "short_sides=0,384"]).levels == (0.2, 0.9)
    assert override(Synthesis(levels=(0.5,)), ["levels="]).levels == ()
    assert LowLevelTraining().epochs != 3  # the default is untouched


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("learning_rat=1", ["learning_rat", "did you mean 'learning_rate'"]),
        ("tau=1", ["There is no field 'tau'"]),
        ("epochs=2.5", ["epochs", "a whole number", "2.5"]),
        ("loss_form=between", ["loss_form", "one of inside, outside", "between"]),
        ("epochs", ["'epochs' is not of the form field=value"]),
        ("epochs=0", ["epochs", "at least 1"]),
        ("temperature=0", ["temperature", "above 0"]),
        ("versions=1", ["versions", "at least 2"]),
        ("learning_rate=nan", ["learning_rate", "above 0"]),
        ("early_fragment_size=0", ["early_fragment_size", "at least 1"]),
        ("early_epochs=-1", ["early_epochs", "at least 0"]),
        ("early_epochs=16", ["early_epochs", "16, more than the 15 epochs of a cycle"]),
        ("skip_unreadable=yes", ["skip_unreadable", "true or false", "yes"]),
        ("start_share=1", ["start_share", "[0, 1)"]),
        ("start_share=.5", ["start_share", "needs a file of weights in field 'start'"]),
        ("warm_restarts=-1", ["warm_restarts", "at least 0"]),
        ("warm_restarts=1", ["warm_restarts", "its 2 cycles do not divide the 15 epochs"]),
    ],
)
def test_a_wrong_field_or_value_is_named(assignment, words):
    with pytest.raises(UserError) as caught:
        override(LowLevelTraining(), [assignment])
    for word in words:
        assert word in str(caught.value)


def test_an_early_piece_is_no_larger_than_the_piece():
    released = TRAINING_PRESETS["ll_model_train"]["released"]
    with pytest.raises(UserError, match="'early_fragment_size' is 64, more than field 'fragment_size', 32"):
        override(released, ["early_epochs=3"])
    assert override(released, ["early_epochs=3", "early_fragment_size=32"]).early_epochs == 3


def test_the_released_preset_is_the_authors():
    released = TRAINING_PRESETS["ll_model_train"]["released"]
    assert (released.fragments_per_side, released.fragment_size, released.batch_size, released.versions) == (
        7,
        32,
        8,
        9,
    )
    assert (released.temperature, released.alpha_exponent, released.loss_form) == (0.5, 1.0, "inside")
    assert (released.learning_rate, released.final_learning_rate) == (1e-4, 1e-6)
    assert (released.weight_decay, released.epochs) == (0.05, 15)


def test_the_released_preset_of_the_high_level_is_the_authors():
    released = TRAINING_PRESETS["hl_model_train"]["released"]
    assert (released.batch_size, released.group_size, released.temperature) == (128, 4, 0.5)
    assert (released.learning_rate, released.warmup_epochs, released.epochs) == (1e-6, 2.5, 15)
    assert (released.positions, released.batch_norm, released.crop) == ("interpolate", "train", 224)
    assert (released.projection, released.projection_activation) == ("frozen", "relu")
    assert (released.architecture, released.reference) == ("RN50", "REF")
    assert released.prompts == ("a Good photo.", "a Bad photo.")
    assert (HighLevelTraining().group_size, HighLevelTraining().learning_rate) == (8, 1e-5)


@pytest.mark.parametrize(
    ("assignments", "words"),
    [
        (["group_size=1"], "'group_size' must be at least 2"),
        (["batch_size=15"], "'batch_size' must be at least 16"),
        (["crop=31"], "'crop' must be at least 32"),
        (["warmup_epochs=-1"], "'warmup_epochs' must be at least 0"),
        (["projection=thawed"], "one of frozen, trained"),
        (["epochs=0"], "'epochs' must be at least 1"),
    ],
)
def test_a_wrong_value_of_the_high_level_is_named(assignments, words):
    with pytest.raises(UserError, match=words):
        override(HighLevelTraining(), assignments)


def test_a_configuration_survives_json():
    config = override(LowLevelTraining(), ["data=a,b", "epochs=7"])
    assert from_saved(LowLevelTraining(), json.loads(json.dumps(dataclasses.asdict(config)))) == config
    with pytest.raises(UserError, match="colour"):
        from_saved(LowLevelTraining(), dataclasses.asdict(config) | {"colour": 1})


def test_the_shipped_weights_are_those_of_the_preset_on_chains():
    """Their file tells the fields by the names of then."""
    saved = json.loads(load_low_level(DEFAULT_LOW_LEVEL).metadata["configuration"])
    preset = dataclasses.asdict(TRAINING_PRESETS["ll_model_train"]["distortion_targets_on_chains"])
    renamed = {
        "photographs": "batch_size", "grid": "fragments_per_side", "piece": "fragment_size",
        "averaging": "ema", "early_piece": "early_fragment_size", "delivery": "jpeg_augmentation",
    }  # fmt: skip
    assert saved.pop("start").endswith(".safetensors") and saved.pop("cycles") == 1
    for name, value in saved.items():
        now = preset[renamed.get(name, name)]
        assert (list(now) if isinstance(now, tuple) else now) == value, name


def test_values_of_every_type_from_text():
    """Booleans were all true, and prompts could not hold a comma."""
    assert override(FewLabels(), ["standardise=False"]).standardise is False
    assert override(FewLabels(), ["standardise=true", "alphas=1, 2"]).alphas == (1.0, 2.0)
    prompts = override(Settings(), ['prompts="A good, sharp photo.", "A bad photo."']).prompts
    assert prompts == ("A good, sharp photo.", "A bad photo.")


@pytest.mark.parametrize(
    "field",
    [
        {"patch_size": 16},
        {"sharpness": 1.0},
        {"colorfulness": -0.1},
        {"prompts": ("Good.",)},
        {"score": "extended"},
        {"precision": "half"},
        {"branch": "middle"},
    ],
)
def test_settings_are_checked(field):
    with pytest.raises(UserError, match=next(iter(field))):
        Settings(**field)
