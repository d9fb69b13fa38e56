"""Policies shipped with edgesim, and their shared helpers."""
