"""Requests that arrive over time, served by a policy: the online simulation.

``simulate`` runs a stream of arrivals through uplink and GPU; ``Policy`` is what
decides which batch is next. Nothing is known beforehand: neither arrivals nor noise.
"""

from edgesim.online.log import OnlineRun
from edgesim.online.policy import Policy, View
from edgesim.online.request import Arrival, Request
from edgesim.online.server import Server, simulate
from edgesim.online.settings import Settings

__all__ = [
    "Arrival",
    "OnlineRun",
    "Policy",
    "Request",
    "Server",
    "Settings",
    "View",
    "simulate",
]
