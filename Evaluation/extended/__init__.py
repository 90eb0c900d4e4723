"""Beyond the paper: a low-level score that also asks what an image shows."""
