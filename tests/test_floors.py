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

REPOSITORY = Path(__file__).parents[1]
PACKAGES = ("edgesim", "solvers")

GROUND = {
    f"edgesim.{name}" for name in ("errors", "files", "plugins", "shipped", "text")
}
"""Files of the ground floor, one room together."""

BELOW: dict[str, set[str]] = {
    "solvers": set(),
    "ground": {"solvers"},
    "edgesim.engine": {"solvers", "ground"},
    "edgesim.trace": {"solvers", "ground"},
    "edgesim.profile": {"solvers", "ground"},
    "edgesim.library": {"solvers", "ground", "edgesim.profile"},
    "edgesim.checkpoints": {"solvers", "ground", "edgesim.profile", "edgesim.library"},
    "edgesim.profiling": {
        *("solvers", "ground"),
        *("edgesim.profile", "edgesim.library", "edgesim.checkpoints"),
    },
    "edgesim.campaign": {"solvers", "ground", "edgesim.cli"},
}
"""The rooms that each room may import.

What no room is built for yet (plans and streams, which are to become one engine, and
what stands above them) may import any of these and is not listed.
"""

UPWARDS = {
    "edgesim.run": ("edgesim.sweep", "edgesim.report", "edgesim.cli"),
    "edgesim.report": ("edgesim.sweep", "edgesim.cli"),
    "edgesim.sweep": ("edgesim.report", "edgesim.cli"),
    "edgesim.plotting": (
        "edgesim.run",
        "edgesim.sweep",
        "edgesim.report",
        "edgesim.cli",
    ),
    "edgesim.replay": ("edgesim.run", "edgesim.sweep", "edgesim.report", "edgesim.cli"),
}
"""What some of those without a place in the table above must not import."""

_TORCH = ("edgesim.profiling.", "edgesim.replay.", "edgesim.checkpoints.pickled")

AT_HOME = {
    "torch": _TORCH,
    "torchvision": _TORCH,
    "timm": _TORCH,
    "transformers": _TORCH,
    "matplotlib": ("edgesim.plotting.", "edgesim.sweep"),
    "typer": ("edgesim.cli",),
    "simpy": ("edgesim.engine.",),
    "pulp": ("solvers.ilp.",),
    "highspy": ("solvers.ilp.",),
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


def room(name: str) -> str | None:
    """Name the room of a module; None where none is built for it yet."""
    if name in GROUND:
        return "ground"
    for room in BELOW:
        if name == room or name.startswith(f"{room}."):
            return room
    return None


def test_every_room_imports_from_below_alone() -> None:
    """Neither a room on its own floor or above, nor what has no room yet."""
    wrong = []
    for name in modules():
        home = room(name)
        if home is None:
            continue
        for found in imports(name):
            if found.split(".")[0] not in PACKAGES or found == "edgesim":
                continue
            other = room(found) or found
            if other != home and other not in BELOW[home]:
                wrong.append(f"{name} imports {found}")
    assert wrong == []


def test_nothing_imports_what_is_above_it() -> None:
    """Pictures run nothing, a run draws no sweep, and nobody calls the command line."""
    wrong = [
        f"{name} imports {found}"
        for below, above in UPWARDS.items()
        for name in modules()
        if name == below or name.startswith(f"{below}.")
        for found in imports(name)
        if any(found == one or found.startswith(f"{one}.") for one in above)
    ]
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
    assert {room(name) for name in modules()} == {*BELOW, None}
