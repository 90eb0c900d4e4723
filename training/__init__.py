"""One loop, one checkpoint format, one module a branch."""
