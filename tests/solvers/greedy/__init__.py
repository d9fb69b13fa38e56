"""Greedy construction, tested."""
