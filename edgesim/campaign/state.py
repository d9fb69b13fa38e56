"""The progress of a campaign, stored in its folder as ``campaign.json``."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import Field

from edgesim.campaign.spec import Task
from edgesim.errors import InputError
from edgesim.storage.files import check_file, make_folder, read_json, write_json
from solvers.problem import Name, Seconds, Value

STATE = "edgesim.campaign-state/1"
STATE_FILE = "campaign.json"

Ending = Literal["done", "failed", "stopped"]


class Record(Value):
    """How a job ended.

    ``exit_code`` is that of the command, or 128 plus the signal that ended its process.
    ``message`` tells why it failed or was stopped; ``order`` increases with each
    record.
    """

    command: Name
    state: Ending
    seconds: Seconds
    expected_s: Seconds
    exit_code: int
    message: str = ""
    date: Name
    order: int = 0


class State(Value):
    """A campaign's records, by the name of the job."""

    campaign: Name
    file_sha256: Name
    device: Name
    jobs: Mapping[str, Record] = Field(default_factory=dict)

    def with_record(self, name: str, record: Record) -> State:
        """Replace a job's record by a newer one, which becomes the last."""
        order = 1 + max((one.order for one in self.jobs.values()), default=0)
        record = record.model_copy(update={"order": order})
        return self.model_copy(update={"jobs": {**self.jobs, name: record}})

    def is_done(self, task: Task) -> bool:
        """Whether a job was done by exactly this command and its outputs exist.

        Its inputs must not have been regenerated since: the jobs it depends on must
        have older records.
        """
        record = self.jobs.get(task.name)
        return (
            record is not None
            and record.state == "done"
            and record.command == task.command
            and all(
                name in self.jobs and self.jobs[name].order < record.order
                for name in task.after
            )
            and all(path.exists() for path in task.outputs)
        )


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a campaign's folder, creating it if needed, for one run at a time.

    Raises
    ------
    InputError
        If another run holds the lock.
    """
    make_folder(folder)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(folder, "is in use by a campaign that runs") from None
        yield
    finally:
        os.close(handle)


def open_state(folder: Path, *, campaign: str, file_sha256: str, device: str) -> State:
    """Read the state that an earlier run left in a campaign's folder, or start anew.

    Parameters
    ----------
    folder
        The folder, locked by :func:`locked`.
    campaign, file_sha256, device
        The campaign to run now.

    Raises
    ------
    InputError
        If the folder contains something else, another campaign, or one for another
        device.
    """
    file = folder / STATE_FILE
    if not file.is_file():
        strangers = sorted(path.name for path in folder.iterdir())
        if strangers:
            raise InputError(
                folder,
                f"holds {strangers[0]!r} and no {STATE_FILE}, so it is no campaign's "
                f"folder; choose another",
            )
        return State(campaign=campaign, file_sha256=file_sha256, device=device)
    found = check_file(file, read_json(file), State, STATE)
    for key, wanted in (("campaign", campaign), ("device", device)):
        if getattr(found, key) != wanted:
            raise InputError(
                f"{file}: {key}",
                f"is {getattr(found, key)!r}, and {wanted!r} is to be run; choose "
                f"another folder",
            )
    return found.model_copy(update={"file_sha256": file_sha256})


def write_state(folder: Path, state: State) -> None:
    """Write a campaign's records atomically."""
    write_json(folder / STATE_FILE, {"schema": STATE, **state.model_dump()})
