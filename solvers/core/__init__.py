"""What several solvers build on: tables, timing, residency, the sharing forest."""
