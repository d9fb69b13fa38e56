"""Measuring load times, latencies and activation memory on a device, with PyTorch.

Nothing outside this package and :mod:`edgesim.replay` imports torch.
"""
