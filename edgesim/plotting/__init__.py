"""Figures, one kind per file; they draw what they are given and run nothing."""
