"""Policies that edgesim ships, and what they have in common."""
