"""Tests from a scenario to runs."""
