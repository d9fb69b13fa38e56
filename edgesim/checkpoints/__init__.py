"""Checkpoint files: read, hash and match their tensors by content."""
