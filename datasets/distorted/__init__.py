"""Distorted versions of photographs: made, and what a network can be told of them."""
