"""Samples that spread widely are told, in the table and in a phrase."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgesim.library.profile_text import tables
from edgesim.profile import spread
from edgesim.profile.file import read_profile
from edgesim.profile.spread import spread_notes, wide_samples
from edgesim.profile.values import Profile
from tests.command import edgesim


def timing(ratio: float) -> dict[str, float]:
    """Make a timing whose p90 is this many times its p10."""
    return {"median_s": 1e-3, "p10_s": 9e-4, "p90_s": 9e-4 * ratio}


def profile(loads: float, batches: tuple[float, float]) -> Profile:
    """Make a profile of one model with these spreads."""
    model: dict[str, Any] = {
        "blocks": [{"name": "a", "bytes": 10, "load_s": {"pinned": timing(9.0)}}],
        "whole_load_s": {"pinned": timing(loads)},
        "by_block_load_s": {"pinned": timing(1.5)},
        "latency_s": {"1": timing(batches[0]), "2": timing(batches[1])},
    }
    return Profile.model_validate(
        {
            "name": "p",
            "provenance": {"kind": "synthetic", "device": "none", "method": "by hand"},
            "models": {"cats": model},
        }
    )


def test_what_is_close_together_is_not_told() -> None:
    """Nor is a single block, of which only the sum counts, or what is not known."""
    quiet = profile(1.9, (1.2, 1.9))
    assert wide_samples(quiet.models) == []
    assert spread_notes(quiet.models) == []
    assert "believed" not in tables(quiet, ("pinned",))


def test_the_widest_of_a_kind_is_told() -> None:
    """With how wide it is; the table warns at its end."""
    wide = profile(2.5, (2.2, 4.0))
    assert [(one.what, round(one.ratio, 3)) for one in wide_samples(wide.models)] == [
        ("loads from pinned", 2.5),
        ("batch 2", 4.0),
    ]
    (note,) = spread_notes(wide.models)
    assert note == (
        "samples that spread too widely to be believed, p90 at least 2 x p10: "
        "cats, loads from pinned: 2.5 x; cats, batch 2: 4.0 x"
    )
    text = tables(wide, ("pinned",))
    warning = text.rpartition("\n\n")[2].splitlines()
    assert warning[0].startswith("warning: these samples spread too widely to be")
    assert [line.split()[-2:] for line in warning[2:]] == [["2.5", "x"], ["4.0", "x"]]


def test_a_measured_profile_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its note and in the table that is printed; here nothing is close enough."""
    monkeypatch.setattr(spread, "WIDE", 1.0)
    out = tmp_path / "out.json"
    finished = edgesim(
        "profile", "measure", "tests.profiling.networks:stack", "--device", "cpu",
        "--batch", "1", "--repeats", 10, "--seconds", 0.05, "--tiers", "pageable",
        "--out", out,
    )  # fmt: skip
    assert finished.code == 0, finished.err
    assert "warning: these samples spread too widely to be believed" in finished.out
    note = read_profile(out).provenance.note
    assert note is not None
    assert (
        "spread too widely to be believed, p90 at least 1 x p10: stack, loads" in note
    )
