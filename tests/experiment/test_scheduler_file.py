"""Dask's file that states where a scheduler is: read, or refused in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgesim.errors import InputError
from edgesim.experiment.cluster import scheduler_address
from tests.fuzz.contents import Document

STATED = {
    "type": "Scheduler",
    "id": "Scheduler-1",
    "address": "tcp://127.0.0.1:8786",
    "services": {"dashboard": 8787},
    "started": 1764312345.25,
    "workers": {},
}


def _refusal(file: Path) -> str:
    """Say why a file states no address, or nothing."""
    try:
        address = scheduler_address(str(file))
    except InputError as error:
        return str(error)
    assert address.rpartition(":")[2].isdecimal()
    return ""


def test_damaged_files(tmp_path: Path) -> None:
    """What is found of 2,000 is an address, or one line that names the file."""
    rng = np.random.default_rng(0)
    file = tmp_path / "scheduler.json"
    refused = 0
    for _ in range(2000):
        file.write_bytes(Document(STATED).damaged(rng))
        said = _refusal(file)
        if said:
            refused += 1
            assert str(file) in said
            assert "\n" not in said
    assert 200 < refused < 1800


@pytest.mark.parametrize(
    "content", ["[" * 100_000, "9" * 5000, "\xff", '"a:1"', '{"address": ["a:1"]}']
)
def test_what_states_no_address(content: str, tmp_path: Path) -> None:
    """Too deep, too long, no text, no object, no text in it."""
    file = tmp_path / "scheduler.json"
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=r"scheduler\.json"):
        scheduler_address(str(file))


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b", "", "nowhere"])
def test_what_is_no_file(name: str) -> None:
    """A name that no file can have is an address that is none."""
    with pytest.raises(InputError, match="dask: must be the address"):
        scheduler_address(name)
