"""Tests of the online simulation, and what they share."""
