"""The house: which room may import which, and where heavy packages are at home.

Every file is looked at, and every import in it, those for type checkers and those
inside functions included.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import networkx as nx
import pytest

REPOSITORY = Path(__file__).parents[1]

pytestmark = pytest.mark.source
PACKAGES = ("edgesim", "solvers")

FLOORS: tuple[tuple[str, ...], ...] = (
    ("solvers",),
    ("edgesim.errors", "edgesim.shadow", "edgesim.text"),
    ("edgesim.plugins", "edgesim.storage"),
    ("edgesim.instances", "edgesim.names", "edgesim.own_sources", "edgesim.shipped"),
    ("edgesim.engine", "edgesim.radio"),
    ("edgesim.trace", "edgesim.profile", "edgesim.measures"),
    ("edgesim.scenario",),
    ("edgesim.library",),
    ("edgesim.experiment", "edgesim.checkpoints"),
    ("edgesim.plotting",),
    ("edgesim.results", "edgesim.profiling"),
    ("edgesim.replay", "edgesim.live", "edgesim.campaign", "edgesim.report"),
    ("edgesim.api", "edgesim.catalogue", "edgesim.online", "edgesim.schemas"),
    ("edgesim.cli",),
    ("edgesim.__main__", "edgesim.campaign.worker"),
)
"""Rooms by floor, from the ground up: a room imports from lower floors alone.

Engine and radio are one room. A worker of a campaign is a process of its own that runs
the command, as ``__main__`` does.
"""

TOGETHER = (FLOORS.index(("edgesim.engine", "edgesim.radio")),)
"""Floors whose rooms are one."""

_TORCH = ("edgesim.profiling.", "edgesim.replay.", "edgesim.live.")

AT_HOME = {
    "torch": _TORCH,
    "torchvision": _TORCH,
    "timm": _TORCH,
    "transformers": _TORCH,
    "matplotlib": ("edgesim.plotting.",),
    "plotly": ("edgesim.report.",),
    "typer": ("edgesim.cli",),
    "simpy": ("edgesim.engine.",),
    "pulp": ("solvers.ilp.",),
    "highspy": ("solvers.ilp.",),
    "distributed": ("edgesim.experiment.cluster",),
    "tomli_w": ("edgesim.results.figure_file",),
}
"""Packages, and what a module's name must begin with to import them."""


@cache
def modules() -> dict[str, Path]:
    """Every module of both packages, by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((REPOSITORY / package).rglob("*.py")):
            parts = path.relative_to(REPOSITORY).with_suffix("").parts
            if "_data" not in parts:
                name = ".".join(p for p in parts if p != "__init__")
                found[name] = path
    return found


@cache
def imports(name: str) -> tuple[str, ...]:
    """List what a module imports: modules of ours, and names of other packages."""
    tree = ast.parse(modules()[name].read_text(encoding="utf-8"))
    return tuple(dict.fromkeys(_imported(tree)))


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where a name comes from"
            assert node.module is not None
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in modules() else node.module


def place(name: str) -> tuple[int, str] | None:
    """Find a module's floor and room; None for the packages' own ``__init__``."""
    found = [
        (len(room), floor, room)
        for floor, rooms in enumerate(FLOORS)
        for room in rooms
        if name == room or name.startswith(f"{room}.")
    ]
    if not found:
        return None
    _, floor, room = max(found)
    return floor, "together" if floor in TOGETHER else room


def test_every_room_imports_from_lower_floors_alone() -> None:
    """Neither from its own floor nor from above; a room may use itself."""
    wrong = []
    for name in modules():
        home = place(name)
        if home is None:
            continue
        for found in imports(name):
            other = place(found)
            if found.split(".")[0] not in PACKAGES or other is None:
                continue
            if other != home and other[0] >= home[0]:
                wrong.append(f"{name} imports {found}")
    assert wrong == []


def test_nothing_enters_by_the_front_door() -> None:
    """The package's ``__init__`` hands things on to users; modules name each other."""
    wrong = [name for name in modules() if "edgesim" in imports(name)]
    assert wrong == []


def test_no_circle_of_modules() -> None:
    """Type checkers' imports count: a name that two files need is a third file's."""
    graph = nx.DiGraph()
    graph.add_edges_from(
        (name, found)
        for name in modules()
        for found in imports(name)
        if found in modules()
    )
    # A package imports its own files to hand names on; that is no circle of ideas.
    graph.remove_edges_from(
        [(a, b) for a, b in graph.edges if b == a or a.startswith(f"{b}.")]
    )
    circles = [set(c) for c in nx.strongly_connected_components(graph) if len(c) > 1]
    assert circles == []


def test_heavy_packages_stay_where_they_are_at_home() -> None:
    """An edgesim that does not measure runs without torch, and so on."""
    wrong = [
        f"{name} imports {found}"
        for name in modules()
        for found in imports(name)
        for package, homes in AT_HOME.items()
        if found.split(".")[0] == package
        if not any(name == home or name.startswith(home) for home in homes)
    ]
    assert wrong == []


def test_the_guard_sees_every_file() -> None:
    """A file that it passed over would be free to import anything."""
    files = [
        path for package in PACKAGES for path in (REPOSITORY / package).rglob("*.py")
    ]
    assert len(modules()) == len([path for path in files if "_data" not in path.parts])
    assert {name for name in modules() if place(name) is None} == {"edgesim"}


def test_policies_know_the_protocol_and_nothing_of_the_engine() -> None:
    """They see the server through the view, never server, GPU or queue."""
    allowed = ("edgesim.engine.policy", "edgesim.engine.request", "edgesim.errors")
    wrong = [
        f"{name} imports {found}"
        for name in modules()
        if name.startswith("edgesim.engine.policies.")
        for found in imports(name)
        if found.startswith("edgesim.")
        and found not in allowed
        and not found.startswith("edgesim.engine.policies.")
    ]
    assert wrong == []
