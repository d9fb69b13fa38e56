"""The integer programs, tested."""
