"""Weights on disk: found, read strictly, written, fetched."""
