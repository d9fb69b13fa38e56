"""The rules for sharing the band, against the plainest simulation of each."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simpy import Environment

from edgesim.engine.request import DONE, ActiveRequest
from edgesim.engine.uplinks.rules import Uplink, make_uplink
from edgesim.names import UplinkRule

RULES: tuple[UplinkRule, ...] = ("fifo", "edf", "equal-share")


@dataclass(frozen=True)
class Sent:
    """One upload: when, whose, how long at the whole band, deadline, last use."""

    at_s: float
    user: int
    demand_s: float
    deadline_s: float
    latest_s: float = math.inf


@dataclass(frozen=True)
class Happening:
    """A link is lost or restored, or an upload (by number) given up."""

    at_s: float
    kind: Literal["lose", "restore", "remove"]
    which: int


@dataclass
class Seen:
    """When uploads ended and were dropped, by number; the band's busy time."""

    delivered: dict[int, float] = field(default_factory=dict)
    dropped: dict[int, float] = field(default_factory=dict)
    busy_s: float = 0.0


def drive(rule: UplinkRule, sent: list[Sent], happenings: list[Happening]) -> Seen:
    """Run the rule."""
    env = Environment()
    seen = Seen()
    requests = [
        ActiveRequest(k, s.user, 0, s.at_s, s.deadline_s, s.latest_s, s.demand_s)
        for k, s in enumerate(sent)
    ]

    def deliver(request: ActiveRequest) -> None:
        assert request.number not in seen.delivered
        assert request.upload_end_s == env.now
        request.state = DONE
        seen.delivered[request.number] = env.now

    def drop(request: ActiveRequest) -> None:
        assert request.number not in seen.dropped
        request.state = DONE
        seen.dropped[request.number] = env.now

    uplink = make_uplink(rule, env, deliver, drop)

    def happen(happening: Happening) -> None:
        if happening.kind == "lose":
            uplink.lose_link(happening.which)
        elif happening.kind == "restore":
            uplink.restore_link(happening.which)
        elif requests[happening.which].state != DONE:
            requests[happening.which].state = DONE
            uplink.remove(requests[happening.which])

    # Whatever happens at the time of a send happens before it.
    for happening in happenings:
        event = env.timeout(happening.at_s)
        event.callbacks.append(lambda _, h=happening: happen(h))
    for request in requests:
        event = env.timeout(request.arrival_s)
        event.callbacks.append(lambda _, r=request: uplink.send(r))
    env.run()
    there = {r.number for r in uplink.unfinished()}
    assert there == {r.number for r in requests if r.state != DONE}
    times_s = uplink.busy_s.values().tolist()
    seen.busy_s = sum(times_s[1::2]) - sum(times_s[::2])
    return seen


def plain(rule: UplinkRule, sent: list[Sent], happenings: list[Happening]) -> Seen:
    """Run the rule step by step: from event to event, every upload's share anew."""
    seen = Seen()
    left = [s.demand_s for s in sent]
    edges = sorted({s.at_s for s in sent} | {h.at_s for h in happenings})
    now, removed = 0.0, set[int]()
    while True:
        removed |= {h.which for h in happenings if h.kind == "remove" and h.at_s <= now}
        active = [
            k
            for k, s in enumerate(sent)
            if s.at_s <= now
            and not {k} & (removed | seen.delivered.keys() | seen.dropped.keys())
            and not _down(s.user, now, happenings)
        ]
        if rule != "equal-share":
            key = {"fifo": 0, "edf": 1}[rule]
            active.sort(key=lambda k: (key * sent[k].deadline_s, k))
            while active and now + left[active[0]] > sent[active[0]].latest_s + 1e-9:
                seen.dropped[active.pop(0)] = now
            active = active[:1]
        ahead = [edge for edge in edges if edge > now]
        if not active:
            if not ahead:
                return seen
            now = ahead[0]
            continue
        ends = [now + left[k] * len(active) for k in active]
        if rule == "equal-share":
            ends += [sent[k].latest_s for k in active]
        step_s = max(0.0, min([*ends, *ahead[:1]]) - now)
        now += step_s
        if ahead and abs(now - ahead[0]) < 1e-12:
            now = ahead[0]
        seen.busy_s += step_s
        for k in active:
            left[k] -= step_s / len(active)
            if left[k] * len(active) <= 1e-9:
                seen.delivered[k] = now
            elif rule == "equal-share" and sent[k].latest_s <= now + 1e-9:
                seen.dropped[k] = now


def _down(user: int, now: float, happenings: list[Happening]) -> bool:
    past = [h.kind for h in happenings if h.which == user and h.at_s <= now]
    return past.count("lose") > past.count("restore")


def assert_same(
    rule: UplinkRule, sent: list[Sent], happenings: list[Happening]
) -> None:
    """Compare the rule with its plain form."""
    found, wanted = drive(rule, sent, happenings), plain(rule, sent, happenings)
    assert found.delivered == pytest.approx(wanted.delivered, abs=1e-8)
    assert found.dropped == pytest.approx(wanted.dropped, abs=1e-8)
    assert found.busy_s == pytest.approx(wanted.busy_s, abs=1e-7)


@st.composite
def loads(draw: st.DrawFn) -> tuple[list[Sent], list[Happening]]:
    """Draw uploads, outages and a few that are given up, no two at one time.

    The order of things at one time is the rule's own affair.
    """
    times = draw(st.lists(st.integers(0, 400), unique=True, max_size=22))
    clock = iter([t / 10 + 0.0123 for t in times])
    count = draw(st.integers(0, min(len(times), 12)))
    sent = []
    for at_s in sorted(next(clock) for _ in range(count)):
        demand_s = draw(st.integers(1, 40)) / 10
        deadline_s = at_s + draw(st.integers(1, 200)) / 10 + 0.0371
        # Off the grid of times, so that none ends when something else happens.
        demand_s += 0.00041 + 0.001 * len(sent)
        latest_s = draw(st.sampled_from([math.inf, deadline_s]))
        user = draw(st.integers(0, 2))
        sent.append(Sent(at_s, user, demand_s, deadline_s, latest_s))
    happenings = []
    while len(edges := [t for _, t in zip(range(2), clock, strict=False)]) == 2:
        user = draw(st.integers(0, 2))
        happenings.append(Happening(min(edges), "lose", user))
        happenings.append(Happening(max(edges), "restore", user))
    if edges and sent:
        which = draw(st.integers(0, len(sent) - 1))
        at_s = max(edges[0], sent[which].at_s + 0.0005)
        happenings.append(Happening(at_s, "remove", which))
    return sent, sorted(happenings, key=lambda h: h.at_s)


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=150)
@given(loads())
def test_a_rule_is_what_it_says(
    rule: UplinkRule, drawn: tuple[list[Sent], list[Happening]]
) -> None:
    """Ends and drops at the times of a simulation that counts every share anew."""
    assert_same(rule, *drawn)


def test_equal_shares_by_hand() -> None:
    """1 s alone, then two share: the first has 1 s left at 1 s and ends at 3 s."""
    sent = [Sent(0.0, 0, 2.0, 9.0), Sent(1.0, 1, 3.0, 9.0)]
    found = drive("equal-share", sent, [])
    assert found.delivered == {0: 3.0, 1: 5.0}
    assert found.busy_s == 5.0


def test_an_earlier_deadline_takes_the_band_over() -> None:
    """The second, sent at 1 s, is done at 2 s; the first at 3 s, not at 2 s."""
    sent = [Sent(0.0, 0, 2.0, 9.0), Sent(1.0, 1, 1.0, 5.0)]
    assert drive("edf", sent, []).delivered == {1: 2.0, 0: 3.0}
    assert drive("fifo", sent, []).delivered == {0: 2.0, 1: 3.0}


@pytest.mark.parametrize("rule", RULES)
def test_a_link_down_for_two_reasons_is_back_when_both_are_over(
    rule: UplinkRule,
) -> None:
    """From 1 to 3 s and from 2 to 5 s: 1 s is sent before, the rest from 5 s on."""
    sent = [Sent(0.0, 0, 2.0, 99.0), Sent(4.0, 0, 1.0, 99.5)]
    happenings = [
        Happening(1.0, "lose", 0),
        Happening(2.0, "lose", 0),
        Happening(3.0, "restore", 0),
        Happening(5.0, "restore", 0),
    ]
    found = drive(rule, sent, happenings)
    ends = {0: 6.0, 1: 7.0} if rule != "equal-share" else {0: 7.0, 1: 7.0}
    assert found.delivered == pytest.approx(ends)


@pytest.mark.parametrize("rule", RULES)
def test_giving_up_an_upload_that_never_had_the_band_changes_nothing(
    rule: UplinkRule,
) -> None:
    """Sent while its link is down, given up before it is back: others go on."""
    sent = [Sent(0.0, 0, 2.0, 99.0), Sent(0.5, 1, 1.0, 99.5)]
    happenings = [
        Happening(0.25, "lose", 1),
        Happening(1.0, "remove", 1),
        Happening(1.5, "restore", 1),
    ]
    assert drive(rule, sent, happenings).delivered == {0: 2.0}


@pytest.mark.parametrize("rule", RULES)
def test_uploads_end_however_late_it_is(rule: UplinkRule) -> None:
    """After 1e9 s clocks step by 1e-7 s; nothing hangs, nothing is lost."""
    sent = [Sent(1e9 + k / 7, k, 0.1 + k / 3, 2e9, 2e9) for k in range(20)]
    found = drive(rule, sent, [])
    assert len(found.delivered) == 20
    assert found.busy_s == pytest.approx(sum(s.demand_s for s in sent), abs=1e-4)


@pytest.mark.parametrize("rule", RULES)
def test_the_forecast_comes_true(rule: UplinkRule) -> None:
    """Asked at 1.5 s, who will end and when is what then happens, drops left out."""
    sent = [
        Sent(0.0, 0, 2.0, 9.0, 9.0),
        Sent(0.5, 1, 1.0, 8.0, 8.0),
        Sent(1.0, 2, 1.0, 7.0, 7.0),
        Sent(1.25, 3, 9.0, 10.5, 10.5),
    ]
    env = Environment()
    seen: list[tuple[float, int]] = []
    uplink: Uplink = make_uplink(
        rule, env, lambda r: seen.append((env.now, r.number)), lambda _: None
    )
    for k, s in enumerate(sent):
        request = ActiveRequest(
            k, s.user, 0, s.at_s, s.deadline_s, s.latest_s, s.demand_s
        )
        event = env.timeout(s.at_s)
        event.callbacks.append(lambda _, r=request: uplink.send(r))
    env.run(until=1.5)
    asked = [(end_s, request.number) for end_s, request in uplink.forecast()]
    first = uplink.next_delivery()
    env.run()
    assert first is not None
    assert first.number == seen[0][1]
    assert [number for _, number in asked if number != 3] == [n for _, n in seen]
    if rule != "equal-share":
        assert len(asked) == 3
        assert [end_s for end_s, _ in asked] == pytest.approx([t for t, _ in seen])
