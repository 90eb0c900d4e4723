"""Scores of images: `from Evaluation import GRepQ` is all that others need."""

from typing import Any


def __getattr__(name: str) -> Any:
    # Looked up when it is asked for, so that importing another room of the package does not wait for torch.
    if name == "GRepQ":
        from Evaluation.grepq import GRepQ

        return GRepQ
    raise AttributeError(f"module 'Evaluation' has no attribute '{name}'")
