"""The losses: pure functions of tensors."""
