"""Serve a stream of requests on a real device, and compare it with its simulation.

The engine is that of every run, driven by the wall clock; the device is a thread that
copies blocks and runs forward passes. ``pool``, ``comparison`` and ``report`` are pure;
``layout``, ``stage`` and ``device`` use torch.
"""
