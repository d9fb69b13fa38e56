"""Pictures, tested."""
