"""Figures, one kind per file; they draw what they are given and run nothing."""

import edgesim.plotting.backend  # noqa: F401  # before any file imports matplotlib
