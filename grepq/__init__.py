"""What other projects import: `from grepq import GRepQ`, once `pip install .` has put it beside theirs.

An installed copy has this repository's packages as `grepq.models`, `grepq.datasets` ... (setup.py).
"""

from typing import TYPE_CHECKING, Any

from configs import VERSION

if TYPE_CHECKING:
    from Evaluation.grepq import GRepQ

__all__ = ["GRepQ", "__version__"]
__version__ = VERSION


def __getattr__(name: str) -> Any:
    # Looked up when it is asked for: `grepq score --help` does not wait for torch.
    if name == "GRepQ":
        from Evaluation.grepq import GRepQ

        return GRepQ
    raise AttributeError(f"module 'grepq' has no attribute '{name}'")
