"""What counts as done, and what of a command only its filled words show."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgesim.campaign.process import Answer
from edgesim.campaign.spec import Campaign, Task, own_code, tasks_of
from edgesim.campaign.state import Record, State
from edgesim.campaign.worker import _exit_code
from edgesim.errors import InputError


def _task(name: str, out: Path, *after: str) -> Task:
    return Task(name, ("edgesim", "x", "--out", str(out)), 1.0, after)


def _done(task: Task) -> Record:
    return Record(
        command=task.command, state="done", seconds=1, expected_s=1, exit_code=0,
        date="2026-01-02",
    )  # fmt: skip


def test_a_job_is_done_again_when_what_it_read_was(tmp_path: Path) -> None:
    """A merge of runs that were measured once more since is not done."""
    first, second = _task("run", tmp_path / "a"), _task("merge", tmp_path / "b", "run")
    for file in ("a", "b"):
        (tmp_path / file).touch()
    state = State(campaign="c", file_sha256="0", device="cpu")
    for task in (first, second):
        assert not state.is_done(task)
        state = state.with_record(task.name, _done(task))
        assert state.is_done(task)
    state = state.with_record("run", _done(first))
    assert state.is_done(first)
    assert not state.is_done(second)
    state = state.with_record("merge", _done(second))
    assert state.is_done(second)


def test_a_job_whose_output_is_gone_is_not_done(tmp_path: Path) -> None:
    """Deleting a result is how to have it made again."""
    task = _task("run", tmp_path / "a")
    state = State(campaign="c", file_sha256="0", device="cpu")
    state = state.with_record("run", _done(task))
    assert not state.is_done(task)
    (tmp_path / "a").touch()
    assert state.is_done(task)


def _campaign(command: str, **words: str) -> Campaign:
    job = {"name": "j", "command": command, "expected_s": 1}
    return Campaign.model_validate({"name": "c", "words": words, "jobs": [job]})


@pytest.mark.parametrize(
    ("command", "words", "message"),
    [
        ("edgesim profile {c} x.toml", {"c": "campaign"}, "campaign inside a campaign"),
        ("edgesim run s --out {out}/campaign.json", {}, "keeps its own"),
        ("edgesim run s --out={out}/logs/x", {}, "keeps its own"),
    ],
)
def test_what_only_the_filled_command_shows(
    tmp_path: Path, command: str, words: dict[str, str], message: str
) -> None:
    """A campaign in a campaign, and the campaign's own files."""
    with pytest.raises(InputError, match=message):
        tasks_of(_campaign(command, **words), device="cpu", out=tmp_path)


def test_a_device_has_a_name(tmp_path: Path) -> None:
    """It would be no value of the state."""
    with pytest.raises(InputError, match=r"^device: "):
        tasks_of(_campaign("edgesim run s"), device=" ", out=tmp_path)


@pytest.mark.parametrize("option", ["--like", "--latency-from"])
def test_after_two_dashes_no_word_is_an_option(option: str) -> None:
    """``--like=own:make`` is a SPEC there, and names a function."""
    words = ["edgesim", "profile", "measure"]
    assert own_code([*words, f"{option}=own:make"]) is None
    assert own_code([*words, "--", f"{option}=own:make"]) == f"{option}=own:make"


def test_a_job_that_exits_with_anything_has_a_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is no number is printed, as Python does, and counts as 1."""
    codes = [_exit_code(code) for code in (None, 3, "why", [1, 2])]  # type: ignore[arg-type]
    assert codes == [0, 3, 1, 1]
    assert capsys.readouterr().err == "why\n[1, 2]\n"
    assert Answer(codes[-1], True).code == 1
