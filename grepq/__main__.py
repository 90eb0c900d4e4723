"""No-reference image quality: the commands of an installed copy. `grepq COMMAND --help` tells more."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from configs import VERSION
from utils import cli


# Imports as statements, which setup.py rewrites; each only when its command is called.
def _score(argv: Sequence[str]) -> int:
    """Score images and folders: score_images.py."""
    from score_images import main

    return main(argv)


def _zeroshot(argv: Sequence[str]) -> int:
    """Score a rated set, a table or a folder as the paper does: test_zeroshot.py."""
    from test_zeroshot import main

    return main(argv)


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {"score": _score, "zeroshot": _zeroshot}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the first argument names with the others; its exit status."""
    first, *rest = (sys.argv[1:] if argv is None else argv) or ["--help"]
    parser = cli.Parser(prog="grepq", description=__doc__, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"grepq {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, run in COMMANDS.items():
        commands.add_parser(name, help=run.__doc__, add_help=False)
    name = parser.parse_args([first]).command
    cli.program = f"grepq {name}"
    return COMMANDS[name](rest)


if __name__ == "__main__":
    sys.exit(main())
