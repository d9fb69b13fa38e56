"""The tolerances that planning, judging and simulating have in common."""

TIME_TOLERANCE_S = 1e-9
"""Two times this close are the same; an end this much after a deadline is in time."""

SPECTRUM_TOLERANCE = 1e-9
"""Relative tolerance on bandwidth and on bits delivered."""
