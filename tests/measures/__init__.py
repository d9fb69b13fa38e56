"""Tests of the measures and their intervals."""
