"""Executing a schedule on a device: what the plan says against what the device takes.

``match``, ``placement``, ``plan``, ``pairs``, ``accuracy``, ``report`` and ``picture``
are pure; ``networks``, ``room``, ``execute`` and ``session`` use torch.
"""
