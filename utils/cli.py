"""How every command reads its arguments and how it ends.

A flag is a field of a frozen dataclass of `configs.py`: `add_fields` makes its type, choices and default
from the field, and `--set field=value` reaches the same field in the same notation.
"""

from __future__ import annotations

import argparse
import dataclasses
import errno
import functools
import os
import sys
import typing
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar

from utils.config_fields import describe, override, parse_value
from utils.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
Config = TypeVar("Config")
Main = Callable[..., int]
# (flag, field, help): what `add_fields` takes.
Flag = tuple[str, str, str]

MODEL_FLAGS: tuple[Flag, ...] = (
    ("--branch", "branch", "which encoders; available: low, and high where CLIP's weights are at hand"),
    ("--ll_model_weights_path", "low", "low-level weights, ours or the authors' .tar; default: the authors' "
        "where they were put in place, else the shipped ones"),
    ("--hl_model_weights_path", "high", "fine-tuned image encoder, ours or the authors' .pth; default: the "
        "authors' where it was put in place, else stock CLIP"),
    ("--clip_weights", "clip", "CLIP's weights: OpenAI's archive, a state dict or safetensors; default: "
        "GREPQ_CLIP_WEIGHTS, else what 'python -m tools.download_weights clip' fetched"),
    ("--architecture", "architecture", "CLIP's ResNet where no file is named"),
    ("--device", "device", "auto, cpu, cuda, cuda:1; auto takes a GPU when there is one"),
    ("--precision", "precision", "in which the encoders convolve"),
    ("--jobs", "jobs", "processes that measure images side by side and share the cores"),
)  # fmt: skip
SCORE_FLAGS: tuple[Flag, ...] = (
    ("--pristine_img_dir", "pristine", "sharp, undistorted images; default: the authors' patches in the "
        "working directory, else the statistics that belong to the weights"),
    ("--score", "score", "own: the extended score where the low-level weights bring one, else the paper's"),
    ("--view", "view", "full: the extended score looks at all pixels of an image of more than a megapixel"),
    ("--patch_size", "patch_size", "side of a patch in pixels"),
    ("--sharpness_param", "sharpness", "pristine patches are above this share of the sharpest"),
    ("--colorfulness_param", "colorfulness", "and above this share of the most colourful of these"),
    ("--prompts", "prompts", "good bad [good bad ...]: Q_high is the mean over the pairs"),
    ("--positions", "positions", "positional embedding of CLIP's attention pool"),
)  # fmt: skip
REGRESSION_FLAGS: tuple[Flag, ...] = (
    ("--features", "features", "both (the authors': high then low), all, or some of high, low, low_patches, "
        "low_inner, semantic; default: both, and low where CLIP's weights are missing"),
    ("--alpha", "alphas", "ridge penalties to choose from by leave-one-out; one alone is fixed"),
    ("--standardise", "standardise", "divide each feature by its deviation over the training images"),
)  # fmt: skip
# The command's name where no file has it: `grepq.__main__` puts "grepq score" here.
program = ""
# Where features are kept for the next run.
FEATURE_CACHE = ROOT / "Results" / "features"


class Parser(argparse.ArgumentParser):
    """Says in one sentence what is wrong with the arguments, and exits with status 2."""

    def error(self, message: str) -> NoReturn:  # noqa: D102
        self.exit(2, f"{self.prog}: {message}\n")


def make_parser(description: str | None, file: str) -> Parser:
    """The parser of the command in `file`, with the name under which people call it."""
    path = Path(file)
    called = (
        path.name
        if path.parent == ROOT
        else f"python -m {path.parent.name}.{path.stem}".removesuffix(".__main__")
    )
    # A file name that is not UTF-8 must not end a run on its way to the terminal.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    return Parser(prog=program or called, description=description, allow_abbrev=False)


def add_fields(parser: argparse._ActionsContainer, config: Any, flags: Iterable[Flag]) -> None:
    """A flag for each field that `flags` names of the dataclass instance `config`, with its value as default.

    Booleans are switched on, tuples take several values; what is not given does not stand in the namespace.
    """
    kinds = typing.get_type_hints(type(config))
    for flag, name, words in flags:
        kind, default = kinds[name], getattr(config, name)
        more: dict[str, Any] = {"dest": name, "default": argparse.SUPPRESS}
        if kind is bool:
            more["action"] = "store_true"
        elif typing.get_origin(kind) is Literal:
            more["choices"] = typing.get_args(kind)
        elif typing.get_origin(kind) is tuple:
            more |= {"nargs": "+", "type": _converter(typing.get_args(kind)[0]), "metavar": "VALUE"}
        else:
            more |= {"type": _converter(kind), "metavar": "VALUE"}
        shown = " ".join(map(str, default)) if isinstance(default, tuple) else default
        told = "" if shown in ("", False) or "default" in words else f"; default: {shown}"
        parser.add_argument(flag, help=(words + told).replace("%", "%%"), **more)


def add_scored_images(parser: argparse.ArgumentParser, sets: Iterable[str]) -> None:
    """Which images: a rated set, a table of scores or a folder, as `Evaluation.protocol` takes them."""
    add = parser.add_argument
    add("--dataset", default="", help=f"rated set in its native layout in --img_dir: {', '.join(sets)}")
    add("--scores", default="", help="table of images and their scores, a CSV, instead of --dataset")
    add("--image_column", default="", help="its column of file names; default: the usual names")
    add("--mos_column", default="", help="its column of scores; default: the usual names")
    add(
        "--img_dir",
        default="",
        help="folder of the set or the table's images; alone, its images are taken",
    )


def add_set(parser: argparse._ActionsContainer, what: str) -> None:
    """`--set field=value ...`, whose values `with_fields` puts in."""
    parser.add_argument(
        "--set", action="extend", nargs="+", default=[], metavar="FIELD=VALUE", dest="changes",
        help=f"fields of {what} in configs.py: numbers, texts, true or false, lists with commas",
    )  # fmt: skip


def with_fields(config: Config, args: argparse.Namespace, sets: bool = True) -> Config:
    """`config` with the fields that flags of `add_fields` and, with `sets`, `--set` gave.

    Raises:
        UserError: a field that there is not, or a value that it cannot take.
    """
    names = {field.name for field in dataclasses.fields(config)}  # type: ignore[arg-type]
    given = {name: value for name, value in vars(args).items() if name in names}
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    changed = dataclasses.replace(config, **given)  # type: ignore[type-var]
    return override(changed, getattr(args, "changes", ())) if sets else changed


def command(main: Main) -> Main:
    """`main(argv)` of a command: what a user can mend is one sentence and status 2, Ctrl-C is status 130.

    Any other exception is a bug: its traceback is printed and the status is 1. `main` may say what is kept
    by the message of the `KeyboardInterrupt` that it raises.
    """

    @functools.wraps(main)
    def run(argv: Sequence[str] | None = None) -> int:
        try:
            status = main(argv)
            sys.stdout.flush()  # here, where it can be told that it failed
            return status
        except BrokenPipeError:
            let_output_go()  # who reads it has enough of it, as `head` does
            return 0
        except UserError as error:
            # From a reading process of torch it comes with that process's traceback in front.
            say(str(error).rpartition(f"{UserError.__module__}.{UserError.__qualname__}: ")[2].strip())
            return 2
        except OSError as error:
            if error.filename is None and error.errno not in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
                raise
            if error.filename is None:
                let_output_go()
            place = "standard output" if error.filename is None else os.fsdecode(error.filename)
            say(f"{place}: {error.strerror or error}.")
            return 2
        except KeyboardInterrupt as stop:
            say(f"Interrupted{f': {stop}' if str(stop) else '.'}")
            return 130

    return run


def let_output_go() -> None:
    """Let nothing more be written to standard output; Python would complain at its end that it cannot."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say(sentence: str) -> None:
    """Standard output is the result's; what else there is to tell goes to standard error."""
    print(sentence, file=sys.stderr)


def _converter(kind: Any) -> Callable[[str], Any]:
    """As argparse wants one: raises ValueError, and has a name for its message."""

    def convert(text: str) -> Any:
        return parse_value(text, kind)

    convert.__name__ = describe(kind)
    return convert
