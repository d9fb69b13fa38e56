"""Older names of what ``edgesim`` and its engine hold, for one more version."""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any

_NOW = {
    "Arrival": "edgesim.engine.request",
    "Policy": "edgesim.engine.policy",
    "Request": "edgesim.engine.request",
    "Server": "edgesim.engine.server",
    "Settings": "edgesim.engine.settings",
    "View": "edgesim.engine.policy",
    "simulate": "edgesim.engine.server",
}
_PUBLIC = ("Policy", "View")
_RENAMED = {"Request": "ActiveRequest"}


def __getattr__(name: str) -> Any:
    """Hand on a name, and say where it is now."""
    if name not in _NOW:
        raise AttributeError(f"module 'edgesim.online' has no attribute {name!r}")
    now = _RENAMED.get(name, name)
    place = "edgesim" if name in _PUBLIC else _NOW[name]
    warnings.warn(
        f"edgesim.online.{name} is {place}.{now} now; the older name goes with the "
        f"next version",
        FutureWarning,
        stacklevel=2,
    )
    return getattr(import_module(_NOW[name]), now)
