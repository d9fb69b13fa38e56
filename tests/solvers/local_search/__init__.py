"""Local search, tested."""
