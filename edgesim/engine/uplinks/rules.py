"""Rules for sharing the spectrum among uploads: one at a time in order, or equally.

A rule keeps the active uploads and one timer. ``InOrderUplink`` gives the whole band to
the first in an order (``fifo``, ``edf``); ``EqualShareUplink`` splits it equally and
uses virtual time, in which every upload keeps the finish time assigned on arrival.

A user whose link is down holds no spectrum; its uploads resume where they stopped when
the link is restored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from simpy import Environment

from edgesim.engine.request import ActiveRequest
from edgesim.engine.uplinks.equal_share import EqualShareUplink
from edgesim.engine.uplinks.in_order import InOrderUplink, by_deadline
from edgesim.engine.uplinks.links import Act
from edgesim.names import UplinkRule
from edgesim.storage.column_files import LongColumn


class Uplink(Protocol):
    """A rule for sharing the band among uploads.

    Attributes
    ----------
    busy_s
        Times at which the band alternately began and ceased to be in use.
    """

    busy_s: LongColumn

    @property
    def bands(self) -> Sequence[tuple[int, float, float, float]]:
        """Bands held: request, start, end and Hz, if recorded."""
        ...

    def send(self, request: ActiveRequest) -> None:
        """Start an upload now."""
        ...

    def remove(self, request: ActiveRequest) -> None:
        """Abandon an upload now; its request is already marked done."""
        ...

    def lose_link(self, user: int) -> None:
        """Stop a user's uploads, future ones included, until its link is restored."""
        ...

    def restore_link(self, user: int) -> None:
        """Resume a user's uploads."""
        ...

    def forecast(self) -> list[tuple[float, ActiveRequest]]:
        """List the ends of uploads if nothing else is sent, earliest first.

        Uploads of users whose link is down are omitted.
        """
        ...

    def next_delivery(self) -> ActiveRequest | None:
        """Return the upload that ends next if nothing else is sent."""
        ...

    def unfinished(self) -> list[ActiveRequest]:
        """List every request whose upload has not ended, in order of arrival."""
        ...


def make_uplink(rule: UplinkRule, env: Environment, deliver: Act, drop: Act) -> Uplink:
    """Make the uplink of a rule.

    Parameters
    ----------
    rule
        ``fifo``, ``edf`` or ``equal-share``.
    env
        The simulation.
    deliver
        Called when an upload has ended.
    drop
        Called for an upload that can no longer end by its request's ``latest_s``: when
        it is given the band, or at that time if the band is shared equally.
    """
    if rule == "equal-share":
        return EqualShareUplink(env, deliver, drop)
    return InOrderUplink(env, deliver, drop, key=by_deadline if rule == "edf" else None)
