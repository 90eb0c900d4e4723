"""Scores of a collection of images: its table, its page and the maps that explain them."""
