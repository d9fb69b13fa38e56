"""Uplinks, tested."""
