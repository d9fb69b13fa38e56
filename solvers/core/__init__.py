"""Shared building blocks of the solvers: tables, timing, residency, sharing forest."""
