"""CLIP's package and weights: where they are, and how the weights are fetched."""

from __future__ import annotations

import importlib
import importlib.util
import os
import warnings
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from types import ModuleType

from utils import cli
from utils.errors import UserError
from utils.files import file_sha256

CLIP_WEIGHTS_VARIABLE = "GREPQ_CLIP_WEIGHTS"
FETCH = "'python -m tools.download_weights clip'"


def import_clip() -> ModuleType:
    """The `clip` package, without the warning that importing it gives.

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
    """Where the package itself keeps and looks for an architecture's weights."""
    return Path.home() / ".cache" / "clip" / f"{architecture}.pt"


def find_clip(architecture: str, named: str = "") -> tuple[Path | None, str]:
    """CLIP's weights: the file that is named, else that of the environment variable, else the package's own.

    The package is not imported where there are no weights.

    Returns:
        The file and "", or None and why there is none, with what can be done.

    Raises:
        UserError: a file that is named is not there, or the package's own is not what it should be.
    """
    path = named or os.environ.get(CLIP_WEIGHTS_VARIABLE, "")
    if path and not Path(path).is_file():
        named_by = "" if named else f" (named by the environment variable {CLIP_WEIGHTS_VARIABLE})"
        raise UserError(f"{path}: there is no such file of CLIP weights{named_by}.")
    if importlib.util.find_spec("clip") is None:
        return None, "CLIP's package cannot be imported: pip install -r requirements.txt"
    if path:
        return Path(path), ""
    cached = clip_cache_path(architecture)
    # An installed copy has no tools.
    remedy = f"name OpenAI's {architecture}.pt with --clip_weights FILE or {CLIP_WEIGHTS_VARIABLE}"
    if not cached.is_file() and cli.program:
        return None, f"There are no CLIP weights: {remedy}"
    if not cached.is_file():
        return None, (
            f"There are no CLIP weights: fetch them with {FETCH}, or name a file with --clip_weights "
            f"(training: --set clip_weights=FILE) or the environment variable {CLIP_WEIGHTS_VARIABLE}"
        )
    url, sha256 = clip_source(architecture)
    if file_sha256(cached) != sha256:
        remedy = remedy if cli.program else f"fetch it again with {FETCH}"
        raise UserError(f"{cached}: is not the file of {url}; {remedy}.")
    return cached, ""


def fetch_clip(architecture: str, say: Callable[[str], object]) -> Path:
    """Put the weights of one of CLIP's ResNets where `clip.load` looks for them; say what was done.

    The file appears only when it is whole and right.

    Raises:
        UserError: the package is missing or has no such ResNet, or the file did not come or came wrong.
    """
    from torch.hub import download_url_to_file

    (url, sha256), path = clip_source(architecture), clip_cache_path(architecture)
    if path.is_file() and file_sha256(path) == sha256:
        say(f"{path}: is there and right, sha256 {sha256}; nothing was fetched.")
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        download_url_to_file(url, str(path), hash_prefix=sha256)
    # Also what torch raises on a wrong checksum.
    except (OSError, HTTPException, RuntimeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{url}: could not be fetched ({reason}); run it again, or fetch it by hand to {path}, or "
            f"give its place with --clip_weights FILE or the environment variable {CLIP_WEIGHTS_VARIABLE}."
        ) from None
    say(f"{path}: fetched, sha256 {sha256}")
    return path
