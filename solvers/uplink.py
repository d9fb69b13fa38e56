"""The uplink disciplines of plans."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

Uplink: TypeAlias = Literal["upfront", "static", "dynamic"]
"""When users get spectrum: all before the GPU starts, at constant bands, or in turn."""

UPLINKS: tuple[Uplink, ...] = get_args(Uplink)
