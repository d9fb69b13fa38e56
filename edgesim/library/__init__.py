"""Model libraries derived from a profile: sharing of blocks, and loading orders."""
