"""Every measure of a run once, with its formula, and confidence intervals."""
