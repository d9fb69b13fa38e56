"""The solvers there are, by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

from solvers.core.algorithm import Found, Options
from solvers.schedule import Uplink

if TYPE_CHECKING:
    from solvers.core.tables import Tables

Algorithm: TypeAlias = "Callable[[Tables, Uplink, Options], Found]"


NO_SHARING = "-noshare"
"""Ends the name of a solver or policy that loads the whole of every model."""


class Entry(NamedTuple):
    """Where an algorithm is, and what it takes.

    ``sharing``: loads only what differs. ``extended``: takes residency ``"cache"`` and
    overlap.
    """

    module: str
    function: str
    sharing: bool = True
    extended: bool = False


# Imported when asked for, so that nobody waits for a library that is not used.
ALGORITHMS: dict[str, Entry] = {
    "dp": Entry("solvers.dp.solver", "solve"),
    "greedy": Entry("solvers.greedy.solver", "solve", extended=True),
    "local-search": Entry("solvers.local_search.solver", "solve", extended=True),
    "ilp": Entry("solvers.ilp.solver", "solve"),
    "exhaustive": Entry("solvers.exhaustive", "solve"),
    "dp-noshare": Entry("solvers.dp.solver", "solve", sharing=False),
    "greedy-noshare": Entry(
        "solvers.greedy.solver", "solve", sharing=False, extended=True
    ),
    "local-search-noshare": Entry(
        "solvers.local_search.solver", "solve", sharing=False, extended=True
    ),
    "ilp-noshare": Entry("solvers.ilp.solver", "solve", sharing=False),
    "fcfs": Entry("solvers.baselines", "fcfs"),
    "edf": Entry("solvers.baselines", "edf"),
    "random": Entry("solvers.baselines", "random"),
}

OWN = Entry("", "", extended=True)
"""What a solver of one's own may take: everything."""

SOLVERS: tuple[str, ...] = tuple(ALGORITHMS)


def algorithm(entry: Entry) -> Algorithm:
    """Import the function that an entry stands for."""
    module = importlib.import_module(entry.module)
    return cast("Algorithm", getattr(module, entry.function))
