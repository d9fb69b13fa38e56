"""What a replay needs, against what is free."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgesim.errors import InputError
from edgesim.profile.values import Profile
from edgesim.profiling.devices import open_device
from edgesim.replay import memory_check as room
from edgesim.replay.memory_check import Need, check_room, need
from edgesim.replay.plan import ReplayPlan, make_plan
from edgesim.replay.session import replay
from tests.replay import cases
from tests.replay.scripted import ScriptedClock, ScriptedDevice

HOST = 4096 + 1024 + 1024  # three blocks, in steps of 512 B
BUFFER = 4096 + 1024  # the stem and one head
NETWORK = cases.STEM + cases.HEAD  # the profile's weights
ACTIVATIONS = 9000


def _profile() -> Profile:
    return cases.profile(activation_bytes={"1": ACTIVATIONS, "4": 4 * ACTIVATIONS})


def _plan(profile: Profile) -> ReplayPlan:
    problem = cases.problem()
    return make_plan(problem, cases.schedule(problem), profile)


def test_needs_by_hand() -> None:
    """On a GPU apart from the host's, page-locked memory in powers of two; else one."""
    profile = _profile()
    plan = _plan(profile)
    device = BUFFER + NETWORK + ACTIVATIONS
    assert need(plan, profile, "pageable", own_memory=False) == Need(
        HOST + device, 0, 0
    )
    assert need(plan, profile, "pageable", own_memory=True) == Need(
        HOST + NETWORK, device, 0
    )
    assert need(plan, profile, "pinned", own_memory=True) == Need(
        8192 + NETWORK, device, 0
    )
    files = cases.STEM + 2 * cases.HEAD
    assert need(plan, profile, "disk", own_memory=True) == Need(
        8192 + NETWORK, device, files
    )


def test_without_networks_only_blocks_count() -> None:
    """No architecture, no weights of a network and no activations."""
    profile = cases.profile(architecture=None)
    found = need(_plan(profile), profile, "pageable", own_memory=True)
    assert found == Need(HOST, BUFFER, 0)


@pytest.mark.parametrize(
    ("needed", "what"),
    [
        (Need(1001, 0, 0), "host memory, free are 1,000"),
        (Need(10, 501, 0), "device memory, free are 500"),
        (Need(10, 10, 2**62), "the disk, free are"),
    ],
)
def test_too_little_of_anything_is_refused(
    needed: Need, what: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The message says how much is needed of what, and how much is free."""
    monkeypatch.setattr(room, "free_host_bytes", lambda: 1000)
    device = ScriptedDevice(ScriptedClock())
    monkeypatch.setattr(device, "free_bytes", lambda: 500)
    with pytest.raises(InputError, match=what):
        check_room(needed, device, tmp_path)
    check_room(Need(1000, 500, 0), device, tmp_path)


def test_a_replay_that_does_not_fit_makes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is refused before a folder or a file is made."""
    monkeypatch.setattr(room, "free_host_bytes", lambda: 1000)
    profile = _profile()
    with pytest.raises(InputError, match="host memory"):
        replay(
            _plan(profile),
            profile,
            open_device("cpu"),
            "disk",
            repeats=1,
            seed=0,
            paced=False,
            scratch=tmp_path / "new",
        )
    assert list(tmp_path.iterdir()) == []
