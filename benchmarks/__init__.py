"""The figures and the image of README.md; each is a module: python -m benchmarks.fsim."""
