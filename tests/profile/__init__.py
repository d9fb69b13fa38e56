"""Device profiles, tested."""
