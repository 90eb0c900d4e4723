"""torch.hub loads the model, also where other people's packages of the same names are imported."""

import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
# As Hugging Face's `datasets`, another repository's `models` and anybody's `utils` are.
FAKES = ("datasets", "datasets.arrow", "models", "utils", "configs", "Evaluation")


@pytest.fixture
def fakes(monkeypatch):
    """Packages of other people in the place of ours."""
    for name in list(sys.modules):
        if name.partition(".")[0] in ("datasets", "models", "utils", "configs", "Evaluation", "losses"):
            monkeypatch.delitem(sys.modules, name)
    found = {name: ModuleType(name) for name in FAKES}
    for name, module in found.items():
        monkeypatch.setitem(sys.modules, name, module)
    return found


def test_the_hub_gives_the_model_and_leaves_other_peoples_imports(fakes):
    path = list(sys.path)
    model = torch.hub.load(str(ROOT), "grepq", source="local", branch="low", device="cpu")
    assert {name: sys.modules[name] for name in FAKES} == fakes
    assert "losses" not in sys.modules and "models.device" not in sys.modules
    assert [place for place in sys.path if place not in path] == []
    # What is read and computed later finds its own modules too.
    assert round(model.score(str(ROOT / "samples" / "coffee.jpg")).q_low, 4) == 0.4547
    assert model.features(torch.rand(3, 120, 150)).shape == (128,)
    assert {name: sys.modules[name] for name in FAKES} == fakes
