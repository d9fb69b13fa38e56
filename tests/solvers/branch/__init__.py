"""Tests of ``solvers/branch/``."""
