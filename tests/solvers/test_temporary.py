"""Temporary files and folders: gone at the end, and after a process was killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from solvers.temporary import MARK, is_temporary, temporary_file, temporary_folder

HOLDING = """
import sys, time
from pathlib import Path
from solvers.temporary import temporary_file, temporary_folder
with temporary_folder("out", Path(".")) as folder, temporary_file("out", Path(".")):
    (folder / "half").write_text("written")
    print("made", flush=True)
    time.sleep(600)
"""

NOT_LEFT = """
import ctypes, os, sys
from pathlib import Path
from solvers.temporary import temporary_folder
block = temporary_folder("out", Path("."))
folder = block.__enter__()
(folder / "half").write_text("written")
ctypes.pythonapi.Py_IncRef(ctypes.py_object(block))  # so that nothing closes it
if (child := os.fork()) == 0:
    sys.exit()
os.waitpid(child, 0)
assert folder.exists()
sys.exit(3)
"""


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path.cwd()))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.chdir(tmp_path)


def _names() -> set[str]:
    return {path.name for path in Path().iterdir()}


def _make() -> None:
    """Make one of the same name, and let it go."""
    with temporary_folder("out", Path()):
        pass


@pytest.mark.parametrize("make", [temporary_folder, temporary_file])
def test_they_are_removed_at_the_end(make: type) -> None:
    """Whether the block ends well or not."""
    with make("out", Path()) as made:
        assert made.exists()
        assert is_temporary(made)
    assert _names() == set()
    with pytest.raises(ValueError, match="of the block"), make("out", Path()):
        raise ValueError("of the block")
    assert _names() == set()


def test_a_renamed_one_stays() -> None:
    """What is finished has its final name by then."""
    with temporary_folder("out", Path()) as made:
        (made / "file").touch()
        made.rename("out")
    assert _names() == {"out"}
    assert Path("out/file").exists()


def test_what_a_killed_process_left_is_removed_by_the_next_of_its_name() -> None:
    """Not before it is killed, not by another name, and nothing of anybody's."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"made\n"
        held = _names()
        assert len(held) == 2
        _make()
        assert _names() == held
        process.send_signal(signal.SIGKILL)
        process.wait()
    others = {
        f"{MARK}out.my-notes",
        f"{MARK}out.123456789abc.old",
        ".out.123456789abc",
        "out",
    }
    for name in others:
        Path(name).touch()
    with temporary_folder("output", Path()):
        pass
    assert _names() == held | others
    _make()
    assert _names() == others


def test_one_whose_block_is_never_left_is_removed_with_the_process() -> None:
    """By the process that made it, not by a fork of it."""
    with subprocess.Popen([sys.executable, "-c", NOT_LEFT]) as process:
        process.wait()
    assert process.returncode == 3
    assert _names() == set()


def test_a_link_is_neither_followed_nor_removed() -> None:
    """It may lead anywhere."""
    Path("mine").mkdir()
    Path("mine/file").touch()
    Path(f"{MARK}out.123456789abc").symlink_to("mine")
    _make()
    assert _names() == {"mine", f"{MARK}out.123456789abc"}
    assert Path("mine/file").exists()


def test_long_names_fit() -> None:
    """A file system's limit is 255 bytes of a name."""
    with temporary_file("n" * 255, Path()) as made:
        assert len(made.name) < 80
