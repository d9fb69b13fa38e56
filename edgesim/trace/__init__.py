"""Request traces: reading, generation, scaling, conversion and summaries."""
