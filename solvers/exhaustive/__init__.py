"""Exhaustive search: the oracle of the tests."""
