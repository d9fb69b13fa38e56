"""Upper bounds on the users served by any schedule."""
