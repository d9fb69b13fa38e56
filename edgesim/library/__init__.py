"""Models made of a profile: who shares which blocks, and in which order to load."""
