"""Measuring on a device, tested."""
