"""Execute a schedule on a device and compare planned with measured times.

``placement``, ``plan``, ``comparison``, ``accuracy`` and ``report``
are pure; ``networks``, ``memory_check``, ``execute`` and ``session`` use torch.
"""
