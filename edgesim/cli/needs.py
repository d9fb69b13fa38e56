"""Packages that only some commands need, checked when these are used."""

from __future__ import annotations

from importlib.util import find_spec

from edgesim.errors import InputError


def need_torch(command: str) -> None:
    """Check for PyTorch, or explain in one line how to install it.

    Raises
    ------
    InputError
        If torch is not installed.
    """
    if find_spec("torch") is None:
        raise InputError(
            command,
            "needs PyTorch, which is not installed; pip install 'edgesim[profile]', or "
            "the torch build for your device first",
        )


def need_plotly(command: str) -> None:
    """Check for plotly, or explain in one line how to install it.

    Raises
    ------
    InputError
        If plotly is not installed.
    """
    if find_spec("plotly") is None:
        raise InputError(
            command,
            "needs plotly, which is not installed; pip install 'edgesim[report]'",
        )
