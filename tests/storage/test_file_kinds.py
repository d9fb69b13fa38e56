"""A command replaces a file of the kind that it writes, and no other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgesim.errors import InputError
from edgesim.storage import file_kinds
from edgesim.storage.file_kinds import PICTURES, FileKind, other_kind
from edgesim.storage.files import check_replaceable, check_writable, write_whole
from tests import examples
from tests.command import edgesim

REPOSITORY = Path(__file__).parents[2]

SHIPPED = [
    *((path, file_kinds.PROFILE) for path in REPOSITORY.glob("profiles/*.json")),
    *((path, PICTURES["png"]) for path in REPOSITORY.glob("profiles/*.png")),
    *((path, file_kinds.SCENARIO) for path in REPOSITORY.glob("traces/*.toml")),
    *((path, file_kinds.TRACE) for path in REPOSITORY.glob("traces/*.csv")),
    *((path, file_kinds.FIGURE) for path in REPOSITORY.glob("figures/*.toml")),
    *((path, file_kinds.FIGURE_TABLE) for path in REPOSITORY.glob("figures/*.csv")),
]


@pytest.mark.source
@pytest.mark.parametrize(
    ("path", "kind"), SHIPPED, ids=[path.name for path, _ in SHIPPED]
)
def test_every_file_is_of_its_kind_alone(path: Path, kind: FileKind) -> None:
    """What is shipped is found to be what it is, and nothing else."""
    assert other_kind(path, kind) is None
    others = {file_kinds.SCHEDULE, file_kinds.PAGE, *(of for _, of in SHIPPED)} - {kind}
    for other in others:
        assert other_kind(path, other) == kind.name


def test_nothing_and_nothing_in_it_may_be_replaced(tmp_path: Path) -> None:
    """A new name, an empty file, and a device are free for every kind."""
    (tmp_path / "empty").touch()
    for place in (tmp_path / "new", tmp_path / "empty", Path("/dev/null")):
        check_replaceable(place, file_kinds.TRACE)
        check_writable(place, file_kinds.TRACE)


def test_writing_refuses_another_kind(tmp_path: Path) -> None:
    """Where a file is written too, not only where it is checked before."""
    place = tmp_path / "notes.txt"
    place.write_text("mine\n")
    with (
        pytest.raises(InputError) as caught,
        write_whole(place, replaces=file_kinds.PROFILE),
    ):
        pass
    assert str(caught.value) == (
        f"{place}: must be a new file or a profile, which is replaced, found a file of "
        f"another kind"
    )
    assert place.read_text() == "mine\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in a folder with a file of several kinds."""
    monkeypatch.chdir(tmp_path)
    Path("small.toml").write_text(examples.SCENARIO)
    Path("small.csv").write_text(examples.TRACE)
    Path("tiny.json").write_text(json.dumps(examples.instance()))
    return tmp_path


GENERATE = ("trace", "generate", "--rate", 1, "--duration-s", 2, "--slo-s", 1)


@pytest.mark.parametrize(
    ("words", "place", "kind", "found"),
    [
        ((*GENERATE, "--out"), "small.toml", "a trace", "a scenario"),
        (("trace", "scale", "campus"), "small.toml", "a trace", "a scenario"),
        (
            ("solve", "tiny.json", "--solver", "dp", "--out"),
            "small.csv",
            "a schedule",
            "a trace",
        ),
        (
            ("profile", "merge", "cpu-epyc", "cpu-epyc-lora", "--out"),
            "tiny.json",
            "a profile",
            "an instance",
        ),
        (("trace", "show", "campus", "--out"), "s.png", "a PNG picture", "a trace"),
        (
            ("profile", "show", "cpu-epyc", "--out"),
            "s.svg",
            "an SVG picture",
            "a trace",
        ),
        (
            ("figure", "campus", "--vary", "users=2", "--repeats", 1, "--out", "."),
            "campus.csv",
            "a figure's table",
            "a trace",
        ),
        (
            ("figure", "campus", "--vary", "users=2", "--repeats", 1, "--out", "."),
            "campus.png",
            "a PNG picture",
            "a trace",
        ),
    ],
)
def test_commands_refuse_another_kind(
    folder: Path, words: tuple[str | int, ...], place: str, kind: str, found: str
) -> None:
    """Whatever the command: exit code 2, one line, and the file as it was."""
    if not Path(place).exists():
        Path(place).write_text(examples.TRACE)
    before = Path(place).read_bytes()
    ends_with_place = words[-1] != "."
    finished = edgesim(*words, *([place] if ends_with_place else []))
    assert (finished.code, finished.out) == (2, "")
    assert finished.err == (
        f"error: {place}: must be a new file or {kind}, which is replaced, "
        f"found {found}\n"
    )
    assert Path(place).read_bytes() == before


def test_the_same_kind_is_replaced(folder: Path) -> None:
    """A second trace, schedule, profile and picture take the place of the first."""
    for _ in range(2):
        for words in (
            (*GENERATE, "--out", "small.csv"),
            ("solve", "tiny.json", "--solver", "dp", "--out", "plan.json"),
            ("trace", "show", "campus", "--out", "trace.pdf"),
            ("trace", "show", "campus", "--out", "trace.svg"),
        ):
            finished = edgesim(*words)
            assert finished.code == 0, finished.err
