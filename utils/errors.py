"""The one error that a user can mend; everything else that goes wrong is a bug and keeps its traceback."""

from __future__ import annotations


class UserError(Exception):
    """One sentence that names the file, key or field that cannot be used, and what to do."""
