"""Weights in files: read, hashed, and found in common by their content."""
