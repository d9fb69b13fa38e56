"""Request traces: read, generate, scale, convert and sum up."""
