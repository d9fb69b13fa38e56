"""Channels integrate exactly, and each uplink rule hands out what it says."""

from __future__ import annotations

import math

import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from edgesim.engine.uplinks.planned import (
    Channel,
    FixedBandUplink,
    FullBandUplink,
    Upload,
)


def blocks(*efficiencies: float, coherence_s: float = 0.1) -> Channel:
    """Make a channel of given blocks; the last one lasts for ever."""
    return Channel(
        lambda block: efficiencies[min(block, len(efficiencies) - 1)], coherence_s
    )


def test_an_upload_ends_where_its_bits_integrate() -> None:
    """Over blocks of 2, 0 and 4 bit/s/Hz, 300 bits at 1 kHz end by hand at 0.225 s."""
    assert blocks(2, 0, 4).end_s(300, 1000, 0.0, 10.0) == pytest.approx(0.225)


def test_an_upload_may_start_inside_a_block() -> None:
    """What of a block lies before the start does not count."""
    assert blocks(2, 4).end_s(140, 1000, 0.05, 10.0) == pytest.approx(0.11)


def test_an_upload_is_given_up_at_the_horizon() -> None:
    """A dead channel, and one too slow, end as None instead of looping for ever."""
    assert blocks(2, 0).end_s(201, 1000, 0.0, 5.0) is None
    assert Channel.constant(0.0).end_s(1, 1000, 0.0, 5.0) is None
    assert Channel.constant(1.0).end_s(1000, 100, 0.0, 5.0) is None
    assert Channel.constant(1.0).end_s(1, 100, 5.0, 5.0) is None


def test_every_block_edge_is_passed() -> None:
    """Starting on any edge, whose product is rounded, still makes progress."""
    channel = Channel(lambda block: 1.0, 0.05)
    for block in range(2000):
        start_s = block * 0.05
        end_s = channel.end_s(60.0, 1000.0, start_s, 1e3)
        assert end_s == pytest.approx(start_s + 0.06, abs=1e-9)


@given(
    efficiency=st.lists(st.floats(0, 8), min_size=1, max_size=8),
    bits=st.floats(1, 1e4),
    start_s=st.floats(0, 2),
)
def test_bits_carried_until_the_end_are_those_sent(
    efficiency: list[float], bits: float, start_s: float
) -> None:
    """The two integrals are inverse to each other."""
    channel = blocks(*efficiency, coherence_s=0.07)
    end_s = channel.end_s(bits, 1e4, start_s, 50.0)
    if end_s is None:
        assert channel.bits(1e4, start_s, 50.0) <= bits * (1 + 1e-9)
    else:
        assert math.isclose(channel.bits(1e4, start_s, end_s), bits, rel_tol=1e-6)


def test_a_fixed_band_is_held_until_delivery() -> None:
    """Two uploads at once do not touch each other; one fails at the horizon."""
    env = simpy.Environment()
    uplink = FixedBandUplink(env, {"a": 100.0, "b": 50.0}, horizon_s=9.0)
    a = Upload("a", 100, Channel.constant(1.0))
    b = Upload("b", 100, Channel.constant(0.1))
    done_a, done_b = uplink.send(a), uplink.send(b)
    env.run()
    assert (done_a.value, done_b.value) == (True, False)
    assert [(s.start_s, s.end_s, s.hz) for s in a.segments] == [(0, 1, 100)]
    assert [(s.start_s, s.end_s, s.hz) for s in b.segments] == [(0, 9, 50)]


def full_band(
    sends: dict[str, tuple[float, float, float]], horizon_s: float = 100.0
) -> tuple[dict[str, list[tuple[float, float]]], dict[str, bool]]:
    """Send uploads (time, seconds of the band, rank); return bands held and values."""
    env = simpy.Environment()
    rank = {user: (send[2],) for user, send in sends.items()}
    uplink = FullBandUplink(env, 1.0, lambda upload: rank[upload.user], horizon_s)
    uploads = {u: Upload(u, s[1], Channel.constant(1.0)) for u, s in sends.items()}
    delivered = {}

    def user(name: str, start_s: float) -> simpy.events.ProcessGenerator:
        yield env.timeout(start_s)
        delivered[name] = yield uplink.send(uploads[name])

    for name, (start_s, _, _) in sends.items():
        env.process(user(name, start_s))
    env.run()
    held = {u: [(s.start_s, s.end_s) for s in x.segments] for u, x in uploads.items()}
    return held, delivered


def test_the_full_band_goes_to_the_least_rank() -> None:
    """Whoever was sent first in the same instant does not matter, rank does."""
    held, _ = full_band({"a": (0, 2, 2), "b": (0, 1, 1), "c": (0, 1, 3)})
    assert held == {"b": [(0, 1)], "a": [(1, 3)], "c": [(3, 4)]}


def test_a_lower_rank_takes_the_band_over() -> None:
    """The interrupted upload goes on afterwards with what was left, and once more."""
    held, _ = full_band({"a": (0, 4, 3), "b": (1, 1, 2), "c": (1.5, 1, 1)})
    assert held == {"a": [(0, 1), (3, 6)], "b": [(1, 1.5), (2.5, 3)], "c": [(1.5, 2.5)]}


def test_a_higher_rank_waits() -> None:
    """A later upload of higher rank does not cut the running one in pieces."""
    held, _ = full_band({"a": (0, 2, 1), "b": (1, 1, 2)})
    assert held == {"a": [(0, 2)], "b": [(2, 3)]}


def test_the_band_idles_until_somebody_comes() -> None:
    """After an idle time the uplink still serves."""
    held, _ = full_band({"a": (1, 1, 1), "b": (5, 1, 1)})
    assert held == {"a": [(1, 2)], "b": [(5, 6)]}


def test_rounding_does_not_preempt_an_upload_that_is_done() -> None:
    """A release 1e-10 s before the end must not put the end behind the newcomer's."""
    held, _ = full_band({"a": (0, 1, 2), "b": (1 - 1e-10, 5, 1)})
    assert held["a"] == [(0, pytest.approx(1, abs=1e-9))]
    assert held["b"] == [(pytest.approx(1), pytest.approx(6))]


def test_the_full_band_gives_up_at_the_horizon() -> None:
    """What cannot end by then frees the band, and what waits fails at once."""
    held, delivered = full_band(
        {"a": (0, 1, 1), "b": (0, 9, 2), "c": (0, 1, 3)}, horizon_s=3.0
    )
    assert delivered == {"a": True, "b": False, "c": False}
    assert held == {"a": [(0, 1)], "b": [(1, 3)], "c": []}
