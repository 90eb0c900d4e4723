"""Measurements as ratios against a reference in the same run; each is a module: python -m benchmarks.fsim."""
