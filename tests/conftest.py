"""Shared by all tests: the parity numbers, and the generators that they belong to."""

import importlib
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from configs import Settings
from Evaluation.distance import statistics
from Evaluation.grepq import GRepQ
from Evaluation.pristine_files import Pristine
from models.low_level import LowLevelEncoder
from models.weights.clip import import_clip
from models.weights.files import save_tensors
from models.weights.low_level import from_authors, load_low_level

PARITY = Path(__file__).parent / "parity"
# The generators are plain modules in the folder of the numbers that they made.
sys.path.insert(0, str(PARITY))
import synthetic_weights  # noqa: E402 (after its folder is known)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Encoders are kept where all processes of this run find them, and not in the user's home."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")


@pytest.fixture(scope="session")
def parity():
    """`parity("fsim")` are the arrays of tests/parity/parity_fsim.npz."""
    opened = {}

    def load(part):
        if part not in opened:
            opened[part] = dict(np.load(PARITY / f"parity_{part}.npz", allow_pickle=False))
        return opened[part]

    return load


@pytest.fixture(scope="session")
def clip_file(tmp_path_factory):
    """CLIP's RN50 with parity's synthetic weights, of which float16 loses nothing."""
    path = tmp_path_factory.mktemp("clip") / "RN50.safetensors"
    import_clip()  # quietly; the generator imports it again
    state = synthetic_weights.clip_rn50_state_dict(0)
    save_file(
        {key: value.half() if value.is_floating_point() else value for key, value in state.items()}, path
    )
    return path


@pytest.fixture(scope="session")
def tiny_clip_file(tmp_path_factory):
    """A CLIP ResNet of the smallest sizes that the package can build: 64 features, a grid of 2 x 2."""
    path = tmp_path_factory.mktemp("clip") / "tiny.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = import_clip().model.CLIP(64, 64, (1, 1, 1, 1), 8, None, 77, 49408, 64, 1, 1)
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, path)
    return path


@pytest.fixture(scope="session")
def low_level_weights(tmp_path_factory):
    """The low-level encoder with parity's synthetic weights, read from a file of ours."""
    model = LowLevelEncoder()
    model.load_state_dict(from_authors(synthetic_weights.low_level_state_dict(0), "synthetic"))
    path = tmp_path_factory.mktemp("weights") / "low.safetensors"
    save_tensors(model, path, {})
    return load_low_level(path)


@pytest.fixture(scope="session")
def make_model(parity, low_level_weights):
    """A GRepQ on the CPU by parity's weights and the pristine features given, parity's own by default."""

    def make(pristine=None, encoder=None, **settings):
        if pristine is None:
            pristine = torch.from_numpy(parity("low")["qlow_s0.75_c0.80_pristine_feats"])
        low = low_level_weights
        if encoder is not None:  # what is kept of an encoder goes by its checksum
            low = replace(low, read=lambda: encoder, sha256=type(encoder).__name__)
        model = GRepQ(Settings(**{"branch": "low", "score": "paper", "device": "cpu"} | settings))
        made = Pristine(statistics(pristine), low.sha256, "", 96, 0.75, 0.80, (), "these")
        # In the place of what would be read from files.
        vars(model.encoders)["low"], vars(model)["pristine"] = low, made
        return model

    return make


@pytest.fixture
def run_script(capsys):
    """Run the command in a module, `train` or `tools.fit_regressor`, here: (exit status, stdout, stderr)."""

    def call(module, *arguments):
        try:
            status = importlib.import_module(module).main([*map(str, arguments)])
        except SystemExit as stop:
            status = stop.code
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return call


@pytest.fixture(autouse=True)
def no_clip_of_this_machine(monkeypatch, tmp_path_factory):
    """CLIP's weights are where a test puts them, not where this machine has some."""
    monkeypatch.setenv("HOME", str(tmp_path_factory.getbasetemp()))
    monkeypatch.delenv("GREPQ_CLIP_WEIGHTS", raising=False)


@pytest.fixture(autouse=True)
def seeded():
    """Each test starts from the same random state, in whatever order they run."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 (only for libraries that use it)
