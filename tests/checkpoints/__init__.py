"""Checkpoints, tested."""
