"""The commands beside the paper's: python -m tools.NAME."""
