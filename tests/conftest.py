"""Shared by all tests: the parity numbers, and the generators that they belong to."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

PARITY = Path(__file__).parent / "parity"
# The generators are plain modules in the folder of the numbers that they made.
sys.path.insert(0, str(PARITY))


@pytest.fixture(scope="session")
def parity():
    """`parity("fsim")` are the arrays of tests/parity/parity_fsim.npz."""
    opened = {}

    def load(part):
        if part not in opened:
            opened[part] = dict(np.load(PARITY / f"parity_{part}.npz", allow_pickle=False))
        return opened[part]

    return load


@pytest.fixture(autouse=True)
def seeded():
    """Each test starts from the same random state, in whatever order they run."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 (only for libraries that use it)
