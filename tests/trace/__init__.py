"""Request traces, tested."""
