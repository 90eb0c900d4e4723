"""Fetch weights that are not shipped: CLIP's into its own cache, the authors' to where they are used."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from utils.cli import command, make_parser, say
from utils.errors import UserError


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 all there, 2 something is not and why is said, 130 interrupted."""
    parser = make_parser(__doc__, __file__)
    add = parser.add_argument
    add("what", choices=("clip", "grepq", "all"), help="CLIP's weights, the authors' three files, or both")
    add("--architecture", default="RN50", help="CLIP's ResNet: %(default)s, RN101, RN50x4, RN50x16, RN50x64")
    args = parser.parse_args(argv)

    # Only now: --help does not wait for torch.
    from models.weights.authors import authors_places, fetch_authors_files
    from models.weights.clip import fetch_clip

    steps: dict[str, Callable[[], object]] = {
        "clip": lambda: fetch_clip(args.architecture, print),
        "grepq": lambda: fetch_authors_files(authors_places(), print),
    }
    # One that fails does not keep the other from being fetched.
    return max(attempt(step) for name, step in steps.items() if args.what in (name, "all"))


def attempt(step: Callable[[], object]) -> int:
    """0, or 2 where the step could not be done, with the reason on standard error."""
    try:
        step()
    except UserError as error:
        say(str(error))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
