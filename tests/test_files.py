"""Files appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgesim import files
from edgesim.errors import InputError


class InterruptedWorkError(Exception):
    """Stands for whatever may go wrong half-way."""


def _write_half(path: Path) -> None:
    with files.write_whole(path) as file:
        file.write("half")
        raise InterruptedWorkError


def _fill_half(path: Path) -> None:
    with files.write_whole_folder(path, "done") as folder:
        (folder / "half").write_text("2")
        raise InterruptedWorkError


def test_file_is_whole_or_absent(tmp_path: Path) -> None:
    """A failure half-way leaves neither the file nor a temporary one."""
    with pytest.raises(InterruptedWorkError):
        _write_half(tmp_path / "a.csv")
    assert list(tmp_path.iterdir()) == []


def test_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    """A failure half-way leaves the file that was there."""
    path = tmp_path / "a.csv"
    path.write_text("old")
    with pytest.raises(InterruptedWorkError):
        _write_half(path)
    assert path.read_text() == "old"
    with files.write_whole(path) as file:
        file.write("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_folder_is_whole_or_absent(tmp_path: Path) -> None:
    """A failure half-way leaves the earlier folder, and no temporary one."""
    out = tmp_path / "deep" / "out"
    with files.write_whole_folder(out, "done") as folder:
        (folder / "done").write_text("1")
    with pytest.raises(InterruptedWorkError):
        _fill_half(out)
    assert [p.name for p in out.iterdir()] == ["done"]
    assert list(out.parent.iterdir()) == [out]
    with files.write_whole_folder(out, "done") as folder:
        (folder / "done").write_text("3")
    assert (out / "done").read_text() == "3"


def test_unwritable_places_are_refused(tmp_path: Path) -> None:
    """A missing folder, or a folder where a file is meant, is an input error."""
    with (
        pytest.raises(InputError, match="cannot be written"),
        files.write_whole(tmp_path / "none" / "a.csv"),
    ):
        pass
    with pytest.raises(InputError, match="is a folder"), files.write_whole(tmp_path):
        pass
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match="cannot be made"):
        files.make_folder(tmp_path / "taken")


def test_shipped_files_are_found() -> None:
    """What edgesim ships is found by name, and nothing else is."""
    assert files.data_file("profiles", "clockwork-v100.json") is not None
    assert files.data_file("profiles", "none.json") is None
