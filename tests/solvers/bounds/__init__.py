"""Bounds, tested."""
