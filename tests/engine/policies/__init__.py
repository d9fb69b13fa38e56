"""Shipped policies, tested."""
