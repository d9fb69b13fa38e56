"""Model libraries, tested."""
