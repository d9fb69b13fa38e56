"""The number of threads that torch uses on the host."""

from __future__ import annotations

import torch

from edgesim.errors import InputError, Parameter


def set_threads(threads: int) -> None:
    """Let torch use a number of threads, in this thread and those made from now on.

    Raises
    ------
    InputError
        If torch was built for one only.
    """
    torch.set_num_threads(threads)
    found = torch.get_num_threads()
    if found != threads:
        raise InputError(
            Parameter("threads"),
            f"must be a number of threads that torch uses when asked to, which is "
            f"{found} here, found {threads}",
        )
