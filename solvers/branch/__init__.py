"""Branch and bound on the path bound."""
