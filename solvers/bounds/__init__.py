"""Upper bounds on users served, for any schedule at all."""
