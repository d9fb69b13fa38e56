"""What solvers build on, tested."""
