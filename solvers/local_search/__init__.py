"""Ruin and recreate, from the best schedule that greedy and dp build."""
