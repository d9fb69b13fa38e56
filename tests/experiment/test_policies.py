"""Policies by name: those that are shipped, the user's own, and what is refused."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgesim.engine.policies.greedy import Greedy
from edgesim.engine.policies.rolling import Rolling
from edgesim.engine.policy import Policy
from edgesim.errors import InputError
from edgesim.experiment import policies
from edgesim.experiment.policies import make_policy
from edgesim.names import POLICIES, SHIPPED_POLICIES, is_policy, plain, shares

OWN = """\
from edgesim.engine.policy import Policy

class Mine(Policy):
    def __init__(self, weight=1.0):
        if weight < 0:
            raise ValueError(f"weight must be >= 0, found {weight}")
        if weight > 9:
            raise KeyError("too heavy")
        self.weight = weight

    def choose(self, server):
        return None

class Half(Policy):
    pass

class Other:
    pass

number = 3
"""


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stand in a folder with modules of the user's."""
    (tmp_path / "own_policies.py").write_text(OWN)
    (tmp_path / "broken_policy.py").write_text("1 / 0\n")
    (tmp_path / "needy_policy.py").write_text("import not_there_at_all\n")
    monkeypatch.chdir(tmp_path)
    yield
    for name in ("own_policies", "broken_policy", "needy_policy"):
        sys.modules.pop(name, None)


def test_every_shipped_name_makes_a_policy() -> None:
    """All five, each with a twin that does not share; a new instance every time."""
    assert len(POLICIES) == 10
    for name in POLICIES:
        assert is_policy(name)
        policy = make_policy(name, {})
        assert isinstance(policy, Policy)
        assert policy is not make_policy(name, {})
    assert type(make_policy("greedy-noshare", {})) is Greedy


def test_the_suffix_says_whether_models_are_shared() -> None:
    """It is no part of the policy itself, be it shipped or the user's."""
    assert shares("edf")
    assert shares("own.module:Mine")
    assert not shares("edf-noshare")
    assert not shares("own.module:Mine-noshare")
    assert plain("edf-noshare") == plain("edf") == "edf"
    assert plain("own.module:Mine-noshare") == "own.module:Mine"


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("a.b:C", True),
        ("a:C-noshare", True),
        ("fcfs-noshare-noshare", False),
        ("best", False),
        ("", False),
        ("a.b:", False),
        (":C", False),
        ("a..b:C", False),
        ("a:C:D", False),
        ("a.b", False),
    ],
)
def test_names_are_told_without_importing(name: str, known: bool) -> None:
    """Modules need not exist for a name to have the form."""
    assert is_policy(name) is known


def test_options_reach_the_constructor(own_module: None) -> None:
    """Those of a shipped policy and of the user's, with and without a twin."""
    assert isinstance(make_policy("rolling", {"solver": "dp"}), Rolling)
    for name in ("own_policies:Mine", "own_policies:Mine-noshare"):
        policy = make_policy(name, {"weight": 2.5})
        assert vars(policy)["weight"] == 2.5


def test_the_current_folder_is_not_left_on_the_path(own_module: None) -> None:
    """Whatever happens, imports elsewhere find what they found before."""
    before = list(sys.path)
    make_policy("own_policies:Mine", {})
    with pytest.raises(InputError):
        make_policy("broken_policy:Mine", {})
    assert sys.path == before


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("best", {}, r"online.policies: 'best' is no policy; allowed: fcfs, edf, .*"),
        ("nowhere.at:All", {}, r"nowhere.at:All: there is no module 'nowhere.at' .*"),
        ("own_policies:Nine", {}, r".*there is no class 'Nine' .*are Half, Mine"),
        ("own_policies:Other", {}, r".*must be a subclass of edgesim.Policy.*"),
        ("own_policies:number", {}, r".*must be a subclass .*, found 3"),
        ("own_policies:Half", {}, r".*must define choose.*"),
        ("own_policies:Mine", {"speed": 1}, r".*'speed'; allowed are weight"),
        ("own_policies:Mine", {"weight": -1}, r".*refuses its options: weight must .*"),
        ("own_policies:Mine", {"weight": 10}, r".*KeyError: .*too heavy.*"),
        ("broken_policy:Mine", {}, r".*cannot be imported: ZeroDivisionError: .*"),
        ("needy_policy:Mine", {}, r".*cannot be imported: .*not_there_at_all.*"),
        ("fcfs", {"most": 3}, r"online.fcfs: .*'most'; allowed are no options"),
        ("rolling-noshare", {"most": 0}, r"online.rolling: .*most must be a whole .*"),
    ],
)
def test_what_cannot_be_made_is_told_in_one_line(
    own_module: None, name: str, options: dict[str, float], said: str
) -> None:
    """Where, what is wrong, what is allowed."""
    with pytest.raises(InputError) as caught:
        make_policy(name, options)
    assert "\n" not in str(caught.value)
    assert re.fullmatch(said, str(caught.value)), str(caught.value)


def test_the_older_place_of_policies_still_works_and_says_so() -> None:
    """For one more version ``edgesim.online`` hands on the same class, and warns."""
    from edgesim import online

    with pytest.warns(FutureWarning, match=r"edgesim\.Policy now"):
        assert online.Policy is Policy
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = online.Nothing


def test_names_are_those_of_the_table() -> None:
    """What can be named can be made, and nothing else."""
    assert tuple(policies._SHIPPED) == SHIPPED_POLICIES
