"""Tests of solvers of the user's own: by name on the command line and in files."""
