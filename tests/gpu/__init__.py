"""Tests that take a real GPU."""
