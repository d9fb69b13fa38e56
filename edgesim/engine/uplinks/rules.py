"""Rules by which uploads share the spectrum: one at a time in an order, or equally.

A rule keeps what is on its way and one timer. ``InOrderUplink`` gives the whole band to
the first of an order (``fifo``, ``edf``); ``EqualShareUplink`` splits it equally and
counts in virtual time, in which every upload keeps the finish it was given on arrival.

A user whose link is down holds no spectrum; its uploads go on where they stopped when
the link is back.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Protocol

from simpy import Environment

from edgesim.engine.request import ActiveRequest
from edgesim.engine.uplinks.equal_share import EqualShareUplink
from edgesim.engine.uplinks.in_order import InOrderUplink, by_deadline
from edgesim.engine.uplinks.links import Act
from edgesim.names import UplinkRule


class Uplink(Protocol):
    """A rule for sharing the band among uploads.

    Attributes
    ----------
    busy_s
        When the band began and ceased to carry anything, in turn.
    """

    busy_s: array[float]

    @property
    def bands(self) -> Sequence[tuple[int, float, float, float]]:
        """Bands held: request, start, end and Hz, where they are recorded."""
        ...

    def send(self, request: ActiveRequest) -> None:
        """Begin an upload now."""
        ...

    def remove(self, request: ActiveRequest) -> None:
        """Give up an upload now; its request is marked done already."""
        ...

    def lose_link(self, user: int) -> None:
        """Stop a user's uploads, those to come included, until its link is back."""
        ...

    def restore_link(self, user: int) -> None:
        """Let a user's uploads go on."""
        ...

    def forecast(self) -> list[tuple[float, ActiveRequest]]:
        """List when uploads will end if nothing else is sent, the first first.

        Uploads of users whose link is down are left out.
        """
        ...

    def next_delivery(self) -> ActiveRequest | None:
        """Return the upload that ends next if nothing else is sent."""
        ...

    def unfinished(self) -> list[ActiveRequest]:
        """List every request whose upload has not ended, in order of arrival."""
        ...


def make_uplink(rule: UplinkRule, env: Environment, deliver: Act, drop: Act) -> Uplink:
    """Make a rule.

    Parameters
    ----------
    rule
        ``fifo``, ``edf`` or ``equal-share``.
    env
        The simulation.
    deliver
        Called when an upload has ended.
    drop
        Called for an upload that cannot end by its request's ``latest_s`` any more:
        when it is given the band, or at that time if the band is shared equally.
    """
    if rule == "equal-share":
        return EqualShareUplink(env, deliver, drop)
    return InOrderUplink(env, deliver, drop, key=by_deadline if rule == "edf" else None)
