"""Ruin and recreate, starting from the best schedule built by greedy and dp."""
