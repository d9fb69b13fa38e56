"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from edgesim import files, shipped
from edgesim.api import read_trace
from edgesim.errors import InputError


class InterruptedWorkError(Exception):
    """Stands for whatever may go wrong half-way."""


def _write_half(path: Path) -> None:
    with files.write_whole(path) as file:
        file.write("half")
        raise InterruptedWorkError


def _fill_half(path: Path) -> None:
    with files.write_whole_folder(path, ("done", "half")) as folder:
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
    with files.write_whole_folder(out, ("done",)) as folder:
        (folder / "done").write_text("1")
    with pytest.raises(InterruptedWorkError):
        _fill_half(out)
    assert [p.name for p in out.iterdir()] == ["done"]
    assert list(out.parent.iterdir()) == [out]
    with files.write_whole_folder(out, ("done",)) as folder:
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


def test_strangers_in_a_folder_are_kept(tmp_path: Path) -> None:
    """A folder that holds anything but a result is refused, whatever else it holds."""
    out = tmp_path / "out"
    with files.write_whole_folder(out, ("run.json",)) as folder:
        (folder / "run.json").write_text('{"schema": "edgesim.run/1"}')
    (out / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"notes\.txt"):
        files.check_replaceable(out, ("run.json",))
    assert (out / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["plans/thesis.tex", "plans/0/notes.txt", "plans"])
def test_strangers_below_a_result_are_kept(tmp_path: Path, name: str) -> None:
    """A folder of a result may hold more than the result."""
    known = ("summary.json", "plans/*/*.json")
    out = tmp_path / "out"
    with files.write_whole_folder(out, known) as folder:
        (folder / "summary.json").write_text('{"schema": "edgesim.summary/1"}')
        if name != "plans":
            (folder / "plans" / "0").mkdir(parents=True)
            (folder / "plans" / "0" / "dp.json").write_text("{}")
    files.check_replaceable(out, known)
    (out / name).write_text("mine")
    with pytest.raises(InputError, match=f"holds '{name}', which this does not write"):
        files.check_replaceable(out, known)


@pytest.mark.parametrize("text", ["{}", "[]", "no JSON", '{"schema": "mine"}'])
def test_what_only_looks_like_a_result_is_kept(tmp_path: Path, text: str) -> None:
    """Somebody's own summary is not replaced because of its name."""
    (tmp_path / "summary.json").write_text(text)
    with pytest.raises(InputError, match="but no earlier result"):
        files.check_replaceable(tmp_path, ("summary.json", "requests.csv"))


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


def test_the_current_folder_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody's working folder is pulled from under them, even an empty one."""
    monkeypatch.chdir(tmp_path)
    for out in (Path(), Path("..")):
        with pytest.raises(InputError, match="the folder you are in"):
            files.check_replaceable(out, ("run.json",))


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no such device here")
def test_a_device_is_not_read() -> None:
    """A device, which may have no end, is refused by every reader."""
    zero = Path("/dev/zero")
    for read in (files.read_text, files.read_bytes, files.read_json, read_trace):
        with pytest.raises(InputError, match="must be a file, found a device"):
            read(zero)
