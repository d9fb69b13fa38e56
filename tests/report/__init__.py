"""Tests of pages of runs and figures."""
