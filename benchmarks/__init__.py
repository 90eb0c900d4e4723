"""The figures and the picture of README.md; each is a module: python -m benchmarks.fsim."""
