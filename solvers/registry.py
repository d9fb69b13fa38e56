"""Registry of the built-in solvers by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

from solvers.core.algorithm import Options, Solution
from solvers.uplink import Uplink

if TYPE_CHECKING:
    from solvers.core.tables import Tables

Algorithm: TypeAlias = "Callable[[Tables, Uplink, Options], Solution]"


NO_SHARING = "-noshare"
"""Suffix of solvers and policies that always load whole models."""


class Entry(NamedTuple):
    """Where an algorithm is defined, and which problems it supports.

    ``sharing``: it loads only the blocks that differ. ``extended``: it supports
    residency ``"cache"`` and overlap. ``check``: a function of the module that refuses
    what the algorithm does not support besides, without solving it. ``takes``: that in
    words. ``limited``: a time limit ends it. ``searches``: it uses all of it, so that
    results depend on it.
    """

    module: str
    function: str
    sharing: bool = True
    extended: bool = False
    check: str | None = None
    takes: str = "any sharing, deadlines and releases"
    limited: bool = False
    searches: bool = False


# Imported on demand, so that libraries which are not used cost no import time.
ALGORITHMS: dict[str, Entry] = {
    "dp": Entry(
        "solvers.dp.solver",
        "solve",
        check="check",
        takes="laminar sharing, one deadline, releases 0",
        limited=True,
    ),
    "greedy": Entry("solvers.greedy.solver", "solve", extended=True, limited=True),
    "local-search": Entry(
        "solvers.local_search.solver",
        "solve",
        extended=True,
        limited=True,
        searches=True,
    ),
    "ilp": Entry("solvers.ilp.solver", "solve", limited=True, searches=True),
    "branch": Entry(
        "solvers.branch.solver", "solve", extended=True, limited=True, searches=True
    ),
    "exhaustive": Entry(
        "solvers.exhaustive.solver",
        "solve",
        extended=True,
        check="check",
        takes="up to 12 users",
        limited=True,
    ),
    "dp-noshare": Entry(
        "solvers.dp.solver",
        "solve",
        sharing=False,
        check="check",
        takes="one deadline, releases 0",
        limited=True,
    ),
    "greedy-noshare": Entry(
        "solvers.greedy.solver", "solve", sharing=False, extended=True, limited=True
    ),
    "local-search-noshare": Entry(
        "solvers.local_search.solver",
        "solve",
        sharing=False,
        extended=True,
        limited=True,
        searches=True,
    ),
    "ilp-noshare": Entry(
        "solvers.ilp.solver", "solve", sharing=False, limited=True, searches=True
    ),
    "fcfs": Entry("solvers.baselines", "fcfs"),
    "edf": Entry("solvers.baselines", "edf"),
    "random": Entry("solvers.baselines", "random"),
}

OWN = Entry("", "", extended=True, limited=True, searches=True)
"""Entry of user-supplied solvers, which may support all of it."""

SOLVERS: tuple[str, ...] = tuple(ALGORITHMS)


def check_of(entry: Entry) -> Callable[[Tables], object] | None:
    """Import the function that refuses what an algorithm does not support, if any."""
    if entry.check is None:
        return None
    module = importlib.import_module(entry.module)
    return cast("Callable[[Tables], object]", getattr(module, entry.check))


def algorithm(entry: Entry) -> Algorithm:
    """Import the function that an entry refers to."""
    module = importlib.import_module(entry.module)
    return cast("Algorithm", getattr(module, entry.function))
