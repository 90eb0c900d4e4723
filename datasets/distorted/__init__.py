"""Distorted versions of images: made, and what a network can be told of them."""
