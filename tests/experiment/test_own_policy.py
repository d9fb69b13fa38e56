"""Policies of the user's own, by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command import edgesim
from tests.experiment.served import rows_of, summary_of


def test_own_policy(
    served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A class in a file of the current folder runs by name, with its options."""
    (tmp_path / "own_policy_for_test.py").write_text(
        "from edgesim import Policy\n"
        "class OneAtATime(Policy):\n"
        "    def __init__(self, least=1):\n"
        "        self.least = least\n"
        "    def choose(self, server):\n"
        "        for queue in server.waiting:\n"
        "            if len(queue) >= self.least:\n"
        "                return queue[:1]\n"
        "        return None\n"
    )
    monkeypatch.chdir(tmp_path)
    names = "own_policy_for_test:OneAtATime,own_policy_for_test:OneAtATime-noshare"
    finished = edgesim("run", served, "--policy", names, "--out", "out")
    assert finished.code == 0, finished.err
    rounds = rows_of(tmp_path / "out" / "rounds.csv")
    assert {r["batch"] for r in rounds} <= {"0", "1"}
    assert "sharing gains own_policy_for_test:OneAtATime " in finished.out


def test_a_policy_that_errs_is_told_in_one_line(
    served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Choosing too many requests ends the run: exit 2, one line, nothing written."""
    (tmp_path / "errs_for_test.py").write_text(
        "from edgesim import Policy\n"
        "class Greedy(Policy):\n"
        "    def choose(self, server):\n"
        "        return [r for queue in server.waiting for r in queue][:40] or None\n"
        "class OddError(Exception):\n"
        "    def __init__(self, one, two):\n"
        "        super().__init__(one + two)\n"
        "class Raises(Policy):\n"
        "    def choose(self, server):\n"
        "        raise OddError('not', ' today')\n"
        "class Waits(Policy):\n"
        "    def choose(self, server):\n"
        "        return None\n"
    )
    monkeypatch.chdir(tmp_path)
    finished = edgesim("run", served, "--policy", "errs_for_test:Greedy", "--out", "x")
    assert finished.code == 2
    assert finished.err.count("\n") == 1
    assert "errs_for_test:Greedy" in finished.err
    assert not (tmp_path / "x").exists()
    # So does an exception of its own, whatever that is made of.
    finished = edgesim("run", served, "--policy", "errs_for_test:Raises", "--out", "x")
    assert finished.code == 2
    assert finished.err == (
        "error: --policy: errs_for_test:Raises: "
        "choose raised OddError: 'not today', at errs_for_test.py:10\n"
    )
    assert not (tmp_path / "x").exists()
    # One that never chooses ends too: everything is dropped, and why is said.
    finished = edgesim("run", served, "--policy", "errs_for_test:Waits", "--out", "y")
    assert finished.code == 0, finished.err
    found = summary_of(tmp_path / "y")["policies"]["errs_for_test:Waits"]
    assert found["in_time"] == 0
    assert found["dropped"] == sum(found["dropped_by"].values()) > 0
