"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from edgesim import shipped
from edgesim.api import read_trace
from edgesim.errors import InputError
from edgesim.storage import files


class InterruptedWorkError(Exception):
    """Stands for whatever may go wrong half-way."""


def _write_half(path: Path) -> None:
    with files.write_whole(path) as file:
        file.write("half")
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
    assert shipped.data_file("profiles", "clockwork-v100.json") is not None
    assert shipped.data_file("profiles", "none.json") is None


def test_links_are_followed(tmp_path: Path) -> None:
    """Writing to a link changes the file it leads to, and leaves the link."""
    target, link = tmp_path / "target.csv", tmp_path / "link.csv"
    target.write_text("old")
    link.symlink_to(target)
    with files.write_whole(link) as file:
        file.write("new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_devices_stay_devices(tmp_path: Path) -> None:
    """A pipe or device is written to, never replaced by a file."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with files.write_whole(pipe) as file:
            file.write("through")
        assert os.read(reader, 100) == b"through"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_loop_of_links_is_refused(tmp_path: Path) -> None:
    """Links that lead to each other are an input error, not a crash."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.symlink_to(two)
    two.symlink_to(one)
    with pytest.raises(InputError), files.write_whole(one):
        pass


def test_inputs_are_kept(tmp_path: Path) -> None:
    """Neither an input itself nor a folder that holds one may be an output."""
    file = tmp_path / "in" / "a.csv"
    file.parent.mkdir()
    file.write_text("1")
    for out in (file, file.parent, tmp_path / "in" / ".." / "in"):
        with pytest.raises(InputError, match="would replace the input"):
            files.keep_inputs(out, file)
    files.keep_inputs(tmp_path / "out", file)


def test_full_disk_is_an_input_error(tmp_path: Path) -> None:
    """What the file system refuses half-way names the file, and leaves nothing."""

    def fill() -> None:
        with files.write_whole(tmp_path / "a.csv"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(InputError, match="no space left"):
        fill()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_impossible_names(name: str, tmp_path: Path) -> None:
    """A name too long or with a NUL is an input error, not a crash."""
    assert not files.is_file(tmp_path / name)
    with pytest.raises(InputError), files.write_whole(tmp_path / name):
        pass


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no such device here")
def test_a_device_is_not_read() -> None:
    """A device, which may have no end, is refused by every reader."""
    zero = Path("/dev/zero")
    for read in (files.read_text, files.read_bytes, files.read_json, read_trace):
        with pytest.raises(InputError, match="must be a file, found a device"):
            read(zero)


def test_names_that_are_not_utf8_are_escaped(tmp_path: Path) -> None:
    """A file's name of any bytes can be written, and read back from JSON as it was."""
    name = os.fsdecode(b"caf\xe9.json")
    files.write_json(tmp_path / "a.json", {"file": name})
    assert files.read_json(tmp_path / "a.json") == {"file": name}
    assert b'"caf\\udce9.json"' in (tmp_path / "a.json").read_bytes()
