"""Greedy construction of a schedule, round by round, for any sharing."""
