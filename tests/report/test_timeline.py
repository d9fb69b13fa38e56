"""What a timeline shows of a trial, worked out by hand."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import pytest

from edgesim.report.timeline import BATCH, LOAD, REUSED, timeline
from edgesim.report.trials import Asked, Shown, Turn

OWN = "#123456"

HOSTILE = "<b>x</b></script>"


def _shown(**changes: Any) -> Shown:
    """Make a trial of two rounds, a late, a dropped and an unscheduled request."""
    requests = [
        Asked("q0", "ann", "cats", "in time", "", 0, 0.0, 1.0, 0.0, 0.1, 0.5),
        Asked("q1", "bob", "dogs", "late", "", 1, 0.0, 0.8, 0.1, 0.6, 0.9),
        Asked("q2", "cid", "dogs", "dropped", "too late", None, 0.2, 0.7, 0.6, None, 1),
        Asked("q3", HOSTILE, "cats", "dropped", "no", None, 1.5, 2.0, None, None, None),
    ]
    turns = [
        Turn(0, "cats", 1, 300, 0, 0.0, 0.3, 0.0, 0.3, 0.2, 0.5, 0.5, 3),
        Turn(1, "dogs", 1, 100, 300, 0.5, 0.05, 0.05, 0.6, 0.3, 0.9, 0.7, 1),
    ]
    of: dict[str, Any] = {
        "name": "dp",
        "repeat": 0,
        "requests": requests,
        "turns": turns,
        "blocks": {0: ["stem", "a", "b"]},
        "counts": {"in time": 1, "late": 1, "dropped": 2},
        "request_count": 4,
        "round_count": 2,
    }
    return Shown(**(of | changes))


@pytest.fixture
def made() -> dict[str, Any]:
    """Make the timeline of that trial."""
    return timeline(_shown(), OWN)


def _trace(made: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(t for t in made["data"] if t["name"] == name)
    return found


def _tells(made: dict[str, Any], name: str) -> list[str]:
    return [made["texts"][k] for k in _trace(made, name)["customdata"]]


def test_plotly_takes_it(made: dict[str, Any]) -> None:
    """Every attribute is one that plotly knows, with a value that it allows."""
    go.Figure({"data": made["data"], "layout": made["layout"]})


def test_loads_and_batches_have_lanes(made: dict[str, Any]) -> None:
    """Their bars are where and as long as the rounds say; loads are hatched."""
    load, batch = _trace(made, "load"), _trace(made, "batch")
    assert (load["base"], load["x"], load["y"]) == ([0, 0.5], [0.3, 0.05], [LOAD] * 2)
    assert load["marker"]["pattern"]["shape"] == "/"
    assert batch["base"] == [0.3, 0.6]
    assert batch["x"] == pytest.approx([0.2, 0.3])
    assert batch["y"] == [BATCH] * 2
    assert "pattern" not in batch["marker"]
    wait = _trace(made, "GPU waits for inputs")
    assert (wait["base"], wait["x"]) == ([0.55], pytest.approx([0.05]))


def test_what_was_there_already_is_as_high_as_its_share(made: dict[str, Any]) -> None:
    """300 of 400 bytes need no load."""
    share = _trace(made, "in memory already (share of bytes)")
    assert (share["y"], share["width"]) == ([REUSED], [pytest.approx(0.6)])
    (told,) = _tells(made, "in memory already (share of bytes)")
    assert "in memory already: 300 B of 400 B (75.0 %)" in told


def test_loads_tell_bytes_and_blocks(made: dict[str, Any]) -> None:
    """Names where the schedule has them, numbers otherwise."""
    first, second = _tells(made, "load")
    assert "loaded 300 B, 3 blocks<br>stem, a,<br>b" in first
    assert "for 1 request: q0" in first
    assert "loaded 100 B, 1 block<br>in memory" in second


def test_batches_tell_who_waited(made: dict[str, Any]) -> None:
    """The GPU for inputs, and each input for its batch."""
    first, second = _tells(made, "batch")
    assert "request q0 of ann: waited 200 ms" in first
    assert "planned" not in first
    assert "the GPU waited 50.0 ms for inputs, last for that of q1" in second
    assert "request q1 of bob: waited 0 ns, <b>late</b>" in second
    assert "planned to end at 0.7000 s" in second


def test_misses_and_drops_are_marked(made: dict[str, Any]) -> None:
    """At the time when they happen, with the reason."""
    assert _trace(made, "deadline")["x"] == [1.0, 0.8, 0.7, 2.0]
    assert _trace(made, "late")["x"] == [0.9]
    assert "late by 100 ms" in _tells(made, "late")[0]
    assert _trace(made, "dropped")["x"] == [1.0, 1.5]
    told = _tells(made, "dropped")
    assert "dropped: too late" in told[0]
    assert "upload from 0.6000 s, never ended" in told[0]
    assert "never uploaded" in told[1]
    dropped = _trace(made, "upload (dropped)")
    assert (dropped["base"], dropped["x"]) == ([0.6], [pytest.approx(0.4)])


def test_requests_that_are_there_at_once_have_rows_of_their_own(
    made: dict[str, Any],
) -> None:
    """The fourth comes when all others are gone, and takes the first row again."""
    assert _trace(made, "deadline")["y"] == [0, 1, 2, 0]


def test_names_are_escaped_for_plotly(made: dict[str, Any]) -> None:
    """It reads tags in texts; those of names are text."""
    told = _tells(made, "dropped")[1]
    assert "&lt;b&gt;x&lt;/b&gt;" in told
    assert "<b>x" not in told
    named = timeline(_shown(name=HOSTILE), OWN)
    assert named["name"] == "&lt;b&gt;x&lt;/b&gt;&lt;/script&gt;"
    assert "<b>" not in named["note"]


def test_a_cut_timeline_says_so(made: dict[str, Any]) -> None:
    """How many of how many, to which time, and where the rest is."""
    assert "shows the beginning" not in made["note"]
    note = timeline(_shown(request_count=1000, round_count=900), OWN)["note"]
    assert "4 of 1,000 requests and 2 of 900 rounds" in note
    assert "requests.csv and rounds.csv have all" in note


def test_nothing_at_all_is_a_timeline_too() -> None:
    """No requests, no rounds."""
    made = timeline(_shown(requests=[], turns=[], counts={}), OWN)
    assert made["data"] == []
    go.Figure({"data": made["data"], "layout": made["layout"]})


def test_a_long_trial_begins_with_its_first_rounds() -> None:
    """Of a thousand bars none can be told apart."""
    turns = [
        Turn(k, "cats", 1, 1, 0, k + 0.0, 0.5, 0.0, k + 0.5, 0.5, k + 1.0, None, None)
        for k in range(100)
    ]
    made = timeline(_shown(turns=turns), OWN)
    assert made["view"][1] == 40.0
    assert made["span"][1] > 100
