"""Requests that arrive over time, served by a policy: the online simulation.

``simulate`` runs a stream of arrivals through uplink and GPU; ``Policy`` is what
decides which batch is next. Nothing is known beforehand: neither arrivals nor noise.
"""

from edgesim.engine.policy import Policy, View
from edgesim.engine.records import Run
from edgesim.engine.request import Arrival, Request
from edgesim.engine.server import Server, simulate
from edgesim.engine.settings import Settings

__all__ = [
    "Arrival",
    "Policy",
    "Request",
    "Run",
    "Server",
    "Settings",
    "View",
    "simulate",
]
