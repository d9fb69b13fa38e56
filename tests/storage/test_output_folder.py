"""An output folder is edgesim's by its manifest: nothing else in it is touched."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from edgesim.errors import InputError, KeptWarning
from edgesim.storage import output_folder
from edgesim.storage.files import WriteError
from edgesim.storage.manifest import MANIFEST, Kind, write_sealed
from edgesim.storage.output_folder import (
    add_output,
    check_output_folder,
    write_output_folder,
)

OLD = {"summary.json": "{}", "plans/0/dp.json": "[0]", "plans/1/dp.json": "[1]"}
NEW = {"summary.json": "{1}", "plans/0/ilp.json": "[2]"}


KIND = Kind("test")


class InterruptedWorkError(Exception):
    """Stands for whatever may go wrong half-way."""


def _fill(folder: Path, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def _write(out: Path, texts: Mapping[str, str] = OLD) -> None:
    with write_output_folder(out, KIND) as folder:
        _fill(folder, texts)


def _write_while(out: Path, do: Callable[[], None]) -> None:
    """Write a result, and do something before its files get their names."""
    with write_output_folder(out, KIND) as folder:
        _fill(folder, NEW)
        do()


def _interrupted() -> None:
    raise InterruptedWorkError


def _texts(folder: Path) -> dict[str, str]:
    return {
        file.relative_to(folder).as_posix(): file.read_text()
        for file in folder.rglob("*")
        if file.is_file() and file.name != MANIFEST
    }


def _manifest(out: Path) -> Any:
    return json.loads((out / MANIFEST).read_text())["files"]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Return a folder that holds a result."""
    _write(tmp_path / "deep" / "out")
    return tmp_path / "deep" / "out"


def test_the_manifest_names_what_was_written(out: Path) -> None:
    """Every file with its hash, sorted; the same bytes for the same files."""
    assert _texts(out) == OLD
    assert _manifest(out) == {
        name: sha256(OLD[name].encode()).hexdigest() for name in sorted(OLD)
    }
    before = (out / MANIFEST).read_bytes()
    _write(out, dict(reversed(OLD.items())))
    assert (out / MANIFEST).read_bytes() == before
    assert list(out.parent.iterdir()) == [out]
    usual = out.parent / "usual"
    usual.mkdir()
    assert stat.S_IMODE(out.stat().st_mode) == stat.S_IMODE(usual.stat().st_mode)


def test_what_is_listed_is_replaced_and_the_rest_stays(out: Path) -> None:
    """Strangers stay wherever they are; emptied folders of the result go."""
    strangers = {"notes.txt": "mine", "plans/2026-strategy.txt": "s", "plans/0/x": "x"}
    _fill(out, strangers)
    _write(out, NEW)
    assert _texts(out) == NEW | strangers
    assert not (out / "plans" / "1").exists()
    assert list(out.parent.iterdir()) == [out]


def test_what_somebody_changed_is_kept_and_told(out: Path) -> None:
    """Under a name that is free, also where the new result has no such file."""
    _fill(out, {"summary.json": "{mine}", "plans/1/dp.json": "[mine]"})
    with pytest.warns(KeptWarning, match=r"plans/1/dp.json is now dp.json.kept, summ"):
        _write(out, NEW)
    kept = {"summary.json.kept": "{mine}", "plans/1/dp.json.kept": "[mine]"}
    assert _texts(out) == NEW | kept
    _fill(out, {"summary.json": "{again}"})
    with pytest.warns(KeptWarning, match=r"is now summary.json.kept-2"):
        _write(out, NEW)
    assert _texts(out) == NEW | kept | {"summary.json.kept-2": "{again}"}


@pytest.mark.parametrize("name", ["plans", "plans/0", "plans/0/ilp.json"])
@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_in_the_way_is_renamed(tmp_path: Path, name: str, kind: str) -> None:
    """A file, a folder or a link with a new file's name, or that of its folder."""
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    _write(out, {"summary.json": "{}"})
    _fill(elsewhere, {"0/ilp.json": "far", "ilp.json": "far"})
    place = out / name
    place.parent.mkdir(parents=True, exist_ok=True)
    if kind == "file":
        place.write_text("mine")
    elif kind == "link":
        place.symlink_to(elsewhere)
    elif name == "plans/0/ilp.json":
        _fill(place, {"inner": "mine"})
    else:  # it may be where it is: the name of a file of it is taken
        place = out / "plans/0/ilp.json"
        _fill(place, {"inner": "mine"})
    with pytest.warns(KeptWarning, match=f"{place.name} is now {place.name}.kept"):
        _write(out, NEW)
    assert (out / "plans/0/ilp.json").read_text() == "[2]"
    kept = place.with_name(f"{place.name}.kept")
    assert kept.is_symlink() == (kind == "link")
    assert _texts(elsewhere) == {"0/ilp.json": "far", "ilp.json": "far"}


def test_a_link_in_the_place_of_a_result_is_not_followed(out: Path) -> None:
    """What lies behind it is somebody's, even if it has the same content."""
    shutil.move(out / "plans", out.parent / "moved")
    (out / "plans").symlink_to(out.parent / "moved")
    with pytest.warns(KeptWarning, match=r"plans is now plans.kept"):
        _write(out, NEW)
    assert (out.parent / "moved/1/dp.json").read_text() == "[1]"


def test_files_that_appear_during_the_work_survive(out: Path, tmp_path: Path) -> None:
    """In a folder that was there, and in one that somebody made meanwhile."""
    with write_output_folder(out, KIND) as folder:
        _fill(folder, NEW)
        _fill(out, {"late.txt": "mine", "plans/0/late.txt": "mine"})
    assert _texts(out) == NEW | {"late.txt": "mine", "plans/0/late.txt": "mine"}
    fresh = tmp_path / "fresh"
    with pytest.warns(KeptWarning):
        _write_while(fresh, lambda: _fill(fresh, {"late": "", "summary.json": "mine"}))
    assert _texts(fresh) == NEW | {"late": "", "summary.json.kept": "mine"}


def test_two_at_once(out: Path) -> None:
    """The last one to end replaces the other, as if it had begun after its end."""
    with write_output_folder(out, KIND) as folder:
        _fill(folder, NEW)
        _write(out, {"other.json": "{}"})
    assert _texts(out) == NEW


def test_what_fails_leaves_the_folder_as_it_was(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the work, and after any number of files were moved."""
    _fill(out, {"summary.json": "{mine}", "notes.txt": "mine"})
    before = _texts(out)
    manifest = (out / MANIFEST).read_bytes()
    with pytest.raises(InterruptedWorkError):
        _write_while(out, _interrupted)
    replace, moves = Path.replace, 0
    for limit in range(8):
        moves = 0

        def failing(self: Path, target: Path, limit: int = limit) -> Path:
            nonlocal moves
            moves += 1
            if moves > limit and moves <= limit + 1:
                raise OSError(28, "no space left")
            return replace(self, target)

        monkeypatch.setattr(Path, "replace", failing)
        with pytest.raises(WriteError, match="no space left"):
            _write(out, NEW)
        monkeypatch.undo()
        assert _texts(out) == before
        assert (out / MANIFEST).read_bytes() == manifest
        assert list(out.parent.iterdir()) == [out]


@contextmanager
def _refused(match: str) -> Iterator[None]:
    with pytest.raises(InputError, match=match):
        yield


def test_another_kind_is_refused(out: Path) -> None:
    """What takes a GPU to compute is not replaced by what happens to have its name."""
    with _refused("holds what edgesim test wrote; choose another folder"):
        check_output_folder(out, Kind("replay"))


def test_a_kind_may_leave_what_it_has_not(out: Path) -> None:
    """Then the earlier files stay, and stay in the manifest."""
    with write_output_folder(out, Kind("test", replaces=False)) as folder:
        _fill(folder, NEW)
    assert _texts(out) == OLD | NEW
    assert set(_manifest(out)) == set(OLD | NEW)


def test_folders_of_somebody_are_refused(tmp_path: Path) -> None:
    """A folder without a manifest is not ours, whatever the names of its files."""
    _fill(tmp_path, {"summary.json": '{"schema": "edgesim.summary/1"}'})
    with _refused("holds 'summary.json', but no earlier result"):
        check_output_folder(tmp_path, KIND)
    with _refused("is a file"):
        check_output_folder(tmp_path / "summary.json", KIND)
    (tmp_path / "empty").mkdir()
    check_output_folder(tmp_path / "empty", KIND)
    check_output_folder(tmp_path / "none", KIND)


def test_earlier_versions_are_taken_over_file_by_file(tmp_path: Path) -> None:
    """What their layout names is replaced, and nothing else."""
    _fill(tmp_path / "out", {"old.csv": "1", "plans/0/dp.json": "2", "notes": "mine"})
    named = ("old.csv", "plans/0/dp.json", "missing.csv")
    earlier = Kind("test", lambda _: named)
    with write_output_folder(tmp_path / "out", earlier) as folder:
        _fill(folder, NEW)
    assert _texts(tmp_path / "out") == NEW | {"notes": "mine"}


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        {"schema": "edgesim.manifest/2", "command": "test", "files": {}},
        {"schema": "edgesim.manifest/1", "command": "test"},
        {"schema": "edgesim.manifest/1", "command": "test", "files": {"a": "b"}},
        *(
            {"schema": "edgesim.manifest/1", "command": "test", "files": {n: "0" * 64}}
            for n in ("../a", "/etc/a", "a/../../b", "", "a//b", ".", "a\0")
        ),
    ],
)
def test_damaged_manifests_are_refused(out: Path, content: object) -> None:
    """A manifest cannot name what is not in its folder."""
    (out / MANIFEST).write_text(json.dumps(content))
    with _refused(r"\.edgesim\.json"):
        check_output_folder(out, KIND)


def test_a_manifest_damaged_meanwhile_is_not_trusted(out: Path) -> None:
    """Then all that is in the way is renamed: nothing is known to be ours."""
    with pytest.warns(KeptWarning):
        _write_while(out, lambda: _fill(out, {MANIFEST: "[]"}))
    assert _texts(out) == OLD | NEW | {"summary.json.kept": "{}"}


def test_sealed_files_are_known_by_their_own_hash(tmp_path: Path) -> None:
    """They differ each time, and the manifest does not; a change breaks the seal."""
    manifests = []
    for number in (1, 2):
        with write_output_folder(tmp_path / "out", KIND) as folder:
            write_sealed(folder / "run.json", {"number": number, "x": {"y": "ü"}})
        manifests.append((tmp_path / "out" / MANIFEST).read_bytes())
    assert manifests[0] == manifests[1]
    file = tmp_path / "out" / "run.json"
    content = json.loads(file.read_text())
    head = file.read_bytes().partition(b',\n "sha256"')[0]
    assert content == {"number": 2, "x": {"y": "ü"}, "sha256": sha256(head).hexdigest()}
    file.write_text(file.read_text().replace("2", "3", 1))
    with pytest.warns(KeptWarning, match=r"run.json is now run.json.kept"):
        _write(tmp_path / "out", {"run.json": "{}"})


def test_a_file_is_added(out: Path) -> None:
    """Into the folder and its manifest, again and again; a stranger is renamed."""
    for text in ("1", "2"):
        with add_output(out, "page.html", KIND) as file:
            file.write(text)
    assert _texts(out) == OLD | {"page.html": "2"}
    assert _manifest(out)["page.html"] == sha256(b"2").hexdigest()
    _write(out, NEW)
    assert _texts(out) == NEW
    (out / "page.html").write_text("mine")
    with pytest.warns(KeptWarning), add_output(out, "page.html", KIND) as file:
        file.write("3")
    assert _texts(out) == NEW | {"page.html": "3", "page.html.kept": "mine"}


def test_a_file_is_added_or_nothing_changes(out: Path) -> None:
    """A failure leaves the folder as it was."""

    def add_half() -> None:
        with add_output(out, "page.html", KIND) as file:
            file.write("half")
            _interrupted()

    with pytest.raises(InterruptedWorkError):
        add_half()
    assert _texts(out) == OLD
    assert set(_manifest(out)) == set(OLD)


def test_adding_to_an_earlier_version_takes_it_over(tmp_path: Path) -> None:
    """Its files are in the manifest from then on."""
    _fill(tmp_path / "out", {"old.csv": "1", "notes": "mine"})
    earlier = Kind("test", lambda _: ("old.csv",))
    with add_output(tmp_path / "out", "page.html", earlier) as file:
        file.write("1")
    _write(tmp_path / "out", NEW)
    assert _texts(tmp_path / "out") == NEW | {"notes": "mine"}


def test_what_is_done_is_kept(tmp_path: Path) -> None:
    """If it says that there is something, and the input was not to blame."""
    out = tmp_path / "out"

    def fail(error: BaseException, *, some: str) -> None:
        with write_output_folder(out, KIND, saved=lambda _: some) as folder:
            _fill(folder, NEW)
            raise error

    for error in (KeyboardInterrupt(), SystemExit(143), WriteError("x", "full")):
        with (
            pytest.raises(type(error)),
            pytest.warns(KeptWarning, match=r"done is kept in .*out.partial.*: 2 runs"),
        ):
            fail(error, some="2 runs")
    kept = ["out.partial", "out.partial-2", "out.partial-3"]
    assert sorted(path.name for path in tmp_path.iterdir()) == kept
    assert _texts(tmp_path / "out.partial-3") == NEW
    for wrong, some in ((InputError("x", "wrong"), "x"), (KeyboardInterrupt(), "")):
        with pytest.raises(type(wrong)):
            fail(wrong, some=some)
    assert sorted(path.name for path in tmp_path.iterdir()) == kept


def test_a_folder_that_cannot_be_moved_is_filled(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mounted folder, or one whose parent belongs to another, gets its files."""
    real = os.access
    monkeypatch.setattr(
        output_folder.os,
        "access",
        lambda path, mode: path != out.parent and real(path, mode),
    )
    with write_output_folder(out, KIND) as folder:
        assert folder.parent == out
        _fill(folder, NEW)
    assert _texts(out) == NEW


def test_the_current_folder_is_no_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither it nor one above it, even if it is empty."""
    monkeypatch.chdir(tmp_path)
    for out in (Path(), Path("..")):
        with _refused("the folder you are in"):
            check_output_folder(out, KIND)


KILLED = """
import os, signal, sys
from pathlib import Path
from edgesim.storage import swap
from tests.storage.test_output_folder import NEW, _write

moves = swap.Moves.move
left = int(sys.argv[2])

def move(self, source, target):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    moves(self, source, target)

swap.Moves.move = move
_write(Path(sys.argv[1]), NEW)
"""


@pytest.mark.parametrize("moves", range(9))
@pytest.mark.filterwarnings("ignore::edgesim.errors.KeptWarning")
def test_nothing_is_lost_to_a_kill_while_results_are_replaced(
    tmp_path: Path, moves: int
) -> None:
    """Neither what somebody changed nor what was theirs; the next run is whole."""
    out = tmp_path / "out"
    _write(out)
    (out / "plans" / "0" / "dp.json").write_text("changed")
    (out / "notes.txt").write_text("mine")
    root = Path(output_folder.__file__).parents[2]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(out), str(moves)],
        env=os.environ | {"PYTHONPATH": str(root)},
        check=False,
    )
    assert killed.returncode in (0, -signal.SIGKILL)
    assert killed.returncode == 0 or moves < 8
    _write(out, NEW)
    assert NEW.items() <= _texts(out).items()
    assert {"changed", "mine"} <= set(_texts(tmp_path).values())
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
