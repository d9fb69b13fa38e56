"""Tolerances shared by planning, verification and simulation."""

TIME_TOLERANCE_S = 1e-9
"""Times this close count as equal; an end this much past a deadline is in time."""

SPECTRUM_TOLERANCE = 1e-9
"""Relative tolerance on bandwidth and on bits delivered."""
