"""Tests of ``solvers/exhaustive/``."""
