"""The dynamic program, tested."""
