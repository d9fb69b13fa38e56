"""What a run leaves: tables, summaries, provenance, traces for viewers, and text."""
