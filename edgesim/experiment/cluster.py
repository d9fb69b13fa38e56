"""Compute on a Dask cluster that is there already."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgesim.errors import InputError, Parameter, short
from edgesim.experiment.identity import installed
from edgesim.plugins import told
from edgesim.storage.files import read_json

_ANSWER_S = 10.0
"""How long a scheduler may take to answer, and may be without workers."""

_MUST = "must be the address of a Dask scheduler (tcp://host:8786) or its file"

_LOOK_S = 0.5
"""How often is looked whether there are workers."""


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
        When there is no such address, Dask is not installed, nobody answers, or
        workers keep dying.
    """
    address = scheduler_address(dask)
    try:
        from distributed import Client
        from distributed.scheduler import KilledWorker, NoValidWorkerError
    except ImportError:
        raise InputError(
            Parameter("dask"),
            "needs Dask: pip install 'edgesim[cluster]'",
        ) from None
    try:
        with (
            _silence(),
            _client(Client, address) as client,
            client.get_executor(pure=False) as executor,
            _while_workers(client, lambda: executor.shutdown(wait=False)),
        ):
            _check_workers(client, dask)
            try:
                yield executor
            except BaseException:
                executor.shutdown(wait=False)  # what is pending is cancelled
                raise
    except (InputError, KeyboardInterrupt, SystemExit):
        raise
    except (KilledWorker, NoValidWorkerError) as error:
        raise InputError(
            Parameter("dask"), f"workers of {dask} died of a point: {told(error)}"
        ) from error
    except CancelledError as error:
        raise InputError(
            Parameter("dask"),
            f"the scheduler at {dask!r} went away, or all of its workers",
        ) from error
    except Exception as error:
        # Whatever keeps a worker from computing, such as edgesim not being there.
        raise InputError(
            Parameter("dask"), f"a worker of {dask} failed: {told(error)}"
        ) from error


@contextmanager
def _silence() -> Iterator[None]:
    """Keep Dask from logging what is told as an error, or is none."""
    logs = [
        logging.getLogger(name)  # Dask sets levels of its own for some
        for name in list(logging.root.manager.loggerDict)
        if name.partition(".")[0] in ("distributed", "tornado", "asyncio")
    ]
    before = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for log, level in zip(logs, before, strict=True):
            log.setLevel(level)


@contextmanager
def _while_workers(client: Any, cancel: Callable[[], object]) -> Iterator[None]:
    """Cancel everything once there are no workers for a while: it would never end."""
    done = threading.Event()

    def look() -> None:
        without_s = 0.0
        while not done.wait(_LOOK_S):
            there = client.scheduler_info()["workers"]
            without_s = 0.0 if there else without_s + _LOOK_S
            if without_s >= _ANSWER_S:
                cancel()
                return

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield
    finally:
        done.set()
        looking.join()


def _check_workers(client: Any, dask: str) -> None:
    """Refuse workers with another edgesim: one without it would end itself."""
    mine = installed()
    try:
        theirs = client.run(installed)
    except Exception as error:
        # Dask hands on as an Exception what it cannot hand on as it is.
        raise InputError(
            Parameter("dask"), f"a worker of {dask} has no such edgesim: {told(error)}"
        ) from error
    for worker, found in theirs.items():
        if found == mine:
            continue
        what = (
            f"another version of the source of edgesim at {worker}"
            if found.versions == mine.versions
            else f"{found.versions} at {worker}, and here it is {mine.versions}"
        )
        raise InputError(Parameter("dask"), f"a worker of {dask} has {what}")


def _client(kind: Any, address: str) -> Any:
    """Connect to a scheduler, or say that nobody answers."""
    try:
        client = kind(address=address, timeout=_ANSWER_S, set_as_default=False)
    except Exception as error:
        # OSError, TimeoutError or ValueError, by what the address is like.
        raise InputError(
            Parameter("dask"), f"{_MUST}; nobody answers at {address!r}: {told(error)}"
        ) from error
    if not client.scheduler_info()["workers"]:
        client.close()
        raise InputError(
            Parameter("dask"), f"the scheduler at {address!r} has no workers"
        )
    return client


def scheduler_address(dask: str) -> str:
    """Return the address that is given, or that a scheduler's file states.

    Parameters
    ----------
    dask
        The address, as ``tcp://host:8786``, or the name of the file.

    Raises
    ------
    InputError
        If it is neither, or the file states no address.
    """
    address: Any = dask
    where = ""
    if os.path.isfile(dask):
        try:
            content = read_json(Path(dask))
        except InputError as error:
            raise InputError(Parameter("dask"), f"{_MUST}; {error}") from None
        address = content.get("address") if isinstance(content, dict) else None
        where = f" as the address in {dask}"
    # Dask takes 20 s to refuse one without a port.
    if not isinstance(address, str) or not re.fullmatch(r".+:[0-9]+", address):
        raise InputError(Parameter("dask"), f"{_MUST}, found {short(address)}{where}")
    return address
