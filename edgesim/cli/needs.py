"""Packages that only some commands need, asked for when they are used."""

from __future__ import annotations

from importlib.util import find_spec

from edgesim.errors import InputError


def need_torch(command: str) -> None:
    """Say in one line how to get PyTorch, where it is missing.

    Raises
    ------
    InputError
        When torch is not installed.
    """
    if find_spec("torch") is None:
        raise InputError(
            command,
            "needs PyTorch, which is not installed; pip install 'edgesim[profile]', or "
            "the torch build for your device first",
        )
