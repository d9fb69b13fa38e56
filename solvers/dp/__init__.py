"""The dynamic program over the sharing forest, for laminar sharing."""
