"""Tests of executing schedules."""
