"""Compute on a Dask cluster that is there already."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgesim.errors import InputError, Parameter
from edgesim.plugins import told

_ANSWER_S = 10.0
"""How long a scheduler may take to answer."""


@contextmanager
def dask_cluster(dask: str) -> Iterator[Executor]:
    """Compute on the workers of a Dask scheduler.

    They must see the same files under the same names, and run the same edgesim. Work
    of a worker that dies goes to another one.

    Parameters
    ----------
    dask
        The scheduler's address, ``tcp://host:8786``, or its file.

    Raises
    ------
    InputError
        When Dask is not installed, nobody answers, or workers keep dying.
    """
    try:
        from distributed import Client
        from distributed.scheduler import KilledWorker, NoValidWorkerError
    except ImportError:
        raise InputError(
            Parameter("dask"),
            "needs Dask: pip install 'edgesim[cluster]'",
        ) from None
    client = _client(Client, dask)
    try:
        with client, client.get_executor(pure=False) as executor:
            try:
                yield executor
            except BaseException:
                client.cancel(list(client.futures.values()), force=True)
                executor.shutdown(wait=False)
                raise
    except (InputError, KeyboardInterrupt, SystemExit):
        raise
    except (KilledWorker, NoValidWorkerError) as error:
        raise InputError(
            Parameter("dask"), f"workers of {dask} died of a point: {told(error)}"
        ) from error
    except Exception as error:
        # Whatever keeps a worker from computing, such as edgesim not being there.
        raise InputError(
            Parameter("dask"), f"a worker of {dask} failed: {told(error)}"
        ) from error


def _client(kind: Any, address: str) -> Any:
    """Connect to a scheduler, or say that nobody answers."""
    is_file = Path(address).is_file()
    given = {"scheduler_file": address} if is_file else {"address": address}
    try:
        client = kind(**given, timeout=_ANSWER_S, set_as_default=False)
    except Exception as error:
        # OSError, TimeoutError or ValueError, by what the address is like.
        raise InputError(
            Parameter("dask"),
            f"must be the address of a Dask scheduler (tcp://host:8786) or its file; "
            f"nobody answers at {address!r}: {told(error)}",
        ) from error
    if not client.scheduler_info()["workers"]:
        client.close()
        raise InputError(
            Parameter("dask"), f"the scheduler at {address!r} has no workers"
        )
    return client
