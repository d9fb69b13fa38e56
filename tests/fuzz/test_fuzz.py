"""Damaged files of every format: read, or refused in one line, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.campaign import run_cases, run_ends
from tests.fuzz.formats import FORMATS
from tests.fuzz.judge import judge, quick_command

CASES = {
    "instance JSON": 400,
    "request logs": 400,
    "campaign TOML": 300,
    "campaign state": 200,
    "profile JSON": 250,
    "trace CSV": 250,
    "scenario TOML": 200,
    "safetensors": 200,
    "PyTorch pickles": 200,
    "schedule JSON": 100,
    "figure TOML": 80,
    "run folders": 80,
    "figure folders": 60,
}
"""Cases of each format in the normal suite: more where they are quick."""


@pytest.mark.parametrize("name", FORMATS)
def test_examples_are_valid(name: str, tmp_path: Path) -> None:
    """Cases start from files that are read: some command takes each."""
    for example in FORMATS[name]():
        files = {file: content.valid() for file, content in example.files.items()}
        words = example.commands[0]
        with quick_command():
            ended = judge(tmp_path / "case", files, words, example)
        assert ended.outcome == "success", ended


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files(name: str, tmp_path: Path) -> None:
    """No traceback, no warning, no file left, nothing that a terminal obeys."""
    tally = run_cases({name: range(CASES[name])}, 0, tmp_path / "case")
    assert tally.failures == []
    assert tally.counts[name]["refused"] > CASES[name] / 10
    assert tally.counts[name]["success"] > 0


def _ends(name: str, count: int | None, folder: Path) -> None:
    ended = run_ends(name, 0, count, folder)
    assert {where: end for where, end in ended.items() if not end.is_sound} == {}


@pytest.mark.parametrize("name", FORMATS)
def test_some_numbers_at_both_ends(name: str, tmp_path: Path) -> None:
    """Numbers next to 0 and to infinity, -0.0 and what is none, in drawn fields."""
    _ends(name, 30, tmp_path / "case")


@pytest.mark.long
@pytest.mark.parametrize("name", FORMATS)
def test_all_numbers_at_both_ends(name: str, tmp_path: Path) -> None:
    """Each of them in every numeric field."""
    _ends(name, None, tmp_path / "case")
