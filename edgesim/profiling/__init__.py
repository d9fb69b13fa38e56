"""Measure load times, latencies and memory on a device with PyTorch."""
