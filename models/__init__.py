"""The encoders, and how their weights are read and written."""
