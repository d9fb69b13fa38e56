"""Results of a run: tables, summaries, provenance, traces for viewers, and text."""
