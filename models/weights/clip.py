"""The installed `clip` package: imported without its warning, and where it keeps which weights."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from types import ModuleType

from utils.errors import UserError


def import_clip() -> ModuleType:
    """The `clip` package.

    Raises:
        UserError: it is not installed, cannot be imported, or is another package of that name.
    """
    with warnings.catch_warnings():
        # It imports pkg_resources, which says on every import that it is deprecated.
        warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
        try:
            package = importlib.import_module("clip")
        except ImportError as error:
            raise UserError(
                f"CLIP's package cannot be imported ({error}): pip install -r requirements.txt"
            ) from None
    if not (hasattr(package, "load") and hasattr(package, "clip")):
        raise UserError(
            f"{package.__file__}: another package is named clip: pip uninstall clip, "
            "then pip install -r requirements.txt"
        )
    return package


def clip_source(architecture: str) -> tuple[str, str]:
    """URL and SHA-256 of an architecture's weights, from the package's own table.

    Raises:
        UserError: the name is not one of CLIP's ResNets, or the package cannot be used.
    """
    table: dict[str, str] = import_clip().clip._MODELS
    resnets = [name for name in table if name.startswith("RN")]
    if architecture not in resnets:
        raise UserError(f"{architecture}: not one of CLIP's ResNets, which are {', '.join(resnets)}.")
    url = table[architecture]
    return url, url.split("/")[-2]


def clip_cache_path(architecture: str) -> Path:
    """Where the package itself keeps and looks for an architecture's weights; raises as `clip_source`."""
    url, _ = clip_source(architecture)
    return Path.home() / ".cache" / "clip" / url.rsplit("/", 1)[1]
