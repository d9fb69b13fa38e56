"""Channels integrate exactly, and each uplink rule hands out what it says."""

from __future__ import annotations

import math

import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from edgesim.engine.channel import Channel
from edgesim.engine.request import DONE, ActiveRequest
from edgesim.engine.uplinks.planned import FixedBandUplink, FullBandUplink, Uploads
from edgesim.engine.uplinks.rules import Uplink


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


Held = dict[str, list[tuple[float, float]]]


class Sent:
    """Uploads by name on an uplink of its own, and what became of them."""

    def __init__(self, sends: dict[str, tuple[float, float]]) -> None:
        self.env = simpy.Environment()
        self.names = list(sends)
        self.delivered: dict[str, bool] = {}
        self.requests = {
            name: ActiveRequest(k, k, 0, start_s, math.inf, math.inf, length_s)
            for k, (name, (start_s, length_s)) in enumerate(sends.items())
        }

    def deliver(self, request: ActiveRequest) -> None:
        """Note that an input has arrived, at the time its request says."""
        assert request.upload_end_s == self.env.now
        self.delivered[self.names[request.number]] = True

    def lose(self, request: ActiveRequest) -> None:
        """Note that an upload was given up."""
        self.delivered[self.names[request.number]] = False

    def held(self, uplink: Uplink) -> Held:
        """List the bands held by name."""
        found: Held = {name: [] for name in self.names}
        for number, start_s, end_s, _ in uplink.bands:
            found[self.names[number]].append((start_s, end_s))
        return found


def fixed(
    bits: dict[str, float], efficiencies: list[float], hz: list[float], horizon_s: float
) -> tuple[Sent, FixedBandUplink]:
    """Make an uplink of fixed bands; every upload begins at 0."""
    sent = Sent({name: (0.0, size) for name, size in bits.items()})
    channels = [Channel.constant(e) for e in efficiencies]
    uploads = Uploads(list(bits.values()), channels, horizon_s)
    bands = dict(enumerate(hz))
    uplink = FixedBandUplink(sent.env, sent.deliver, sent.lose, uploads, bands)
    return sent, uplink


def test_a_fixed_band_is_held_until_delivery() -> None:
    """Two uploads at once do not touch each other; one fails at the horizon."""
    sent, uplink = fixed({"a": 100, "b": 100}, [1.0, 0.1], [100.0, 50.0], 9.0)
    for request in sent.requests.values():
        uplink.send(request)
    assert uplink.next_delivery() is sent.requests["a"]
    assert [end_s for end_s, _ in uplink.forecast()] == [1.0, 9.0]
    sent.env.run()
    assert sent.delivered == {"a": True, "b": False}
    assert list(uplink.bands) == [(0, 0, 1, 100), (1, 0, 9, 50)]
    assert sent.requests["a"].upload_start_s == 0
    assert uplink.unfinished() == []


def test_a_lost_link_stops_a_fixed_band_and_its_bits_are_kept() -> None:
    """Down from 0.25 to 1 s with a quarter delivered: it ends at 1.75 s."""
    sent, uplink = fixed({"a": 100}, [1.0], [100.0], 9.0)
    request = sent.requests["a"]
    uplink.send(request)
    sent.env.run(until=0.25)
    uplink.lose_link(0)
    assert (uplink.next_delivery(), uplink.unfinished()) == (None, [request])
    sent.env.run(until=1.0)
    uplink.restore_link(0)
    sent.env.run(until=2.0)
    assert request.upload_end_s == 1.75
    assert list(uplink.bands) == [(0, 0, 0.25, 100), (0, 1, 1.75, 100)]


def test_a_fixed_band_that_is_taken_away_delivers_nothing() -> None:
    """Its request is given up at 0.5 s; nothing happens to it any more."""
    sent, uplink = fixed({"a": 100}, [1.0], [100.0], 9.0)
    uplink.send(sent.requests["a"])
    sent.env.run(until=0.5)
    sent.requests["a"].state = DONE
    uplink.remove(sent.requests["a"])
    sent.env.run()
    assert sent.delivered == {}
    assert list(uplink.bands) == [(0, 0, 0.5, 100)]


def full_band(
    sends: dict[str, tuple[float, float, float]], horizon_s: float = 100.0
) -> tuple[Held, dict[str, bool]]:
    """Send uploads (time, seconds of the band, rank); return bands held and fates."""
    sent = Sent({name: send[:2] for name, send in sends.items()})
    lengths_s = [send[1] for send in sends.values()]
    uploads = Uploads(lengths_s, [Channel.constant(1.0)] * len(sends), horizon_s)
    rank = {k: (send[2],) for k, send in enumerate(sends.values())}
    uplink = FullBandUplink(sent.env, sent.deliver, sent.lose, uploads, 1.0, rank)
    for request in sent.requests.values():
        uplink.send(request)
    sent.env.run()
    return sent.held(uplink), sent.delivered


def test_the_full_band_goes_to_the_least_rank() -> None:
    """Of those sent in the same instant the order does not matter, rank does."""
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
