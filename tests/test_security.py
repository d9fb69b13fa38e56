"""SECURITY.md is true: code is imported by name, and programs start, there alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]

pytestmark = pytest.mark.source

IMPORTS = {
    "edgesim/__init__.py",  # its own parts, on first use
    "edgesim/online/__init__.py",
    "solvers/__init__.py",
    "solvers/core/kept_loops.py",  # the compiled loops
    "solvers/core/quick.py",  # too
    "solvers/registry.py",
    "edgesim/experiment/policies.py",  # shipped policies
    "edgesim/profiling/zoo.py",  # libraries of networks
    "edgesim/plugins.py",  # code of the user's
}
STARTS = {
    "edgesim/campaign/process.py",  # edgesim itself
    "edgesim/profiling/hardware.py",  # nvidia-smi
    "solvers/ilp/engine.py",  # ends what PuLP has started
}
FORBIDDEN = {"eval", "exec", "compile", "__import__"}
UNSAFE = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "runpy", "imp"}


def _files() -> Iterator[tuple[str, ast.Module]]:
    for package in ("edgesim", "solvers"):
        for file in sorted((REPOSITORY / package).rglob("*.py")):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            yield file.relative_to(REPOSITORY).as_posix(), tree


def _imported(tree: ast.Module) -> set[str]:
    """Names of modules that are imported, and of what is imported from them."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{a.name}" for a in node.names)}
    return names


def _called(tree: ast.Module) -> set[str]:
    return {
        node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, (ast.Attribute, ast.Name))
    }


def _plainly_called(tree: ast.Module) -> set[str]:
    return {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


def test_modules_are_imported_by_name_in_few_places() -> None:
    """A new one needs a look at who names the module, and at what asks."""
    found = {file for file, tree in _files() if "import_module" in _called(tree)}
    assert found == IMPORTS


def test_programs_are_started_in_few_places() -> None:
    """The command itself, and what tells the driver."""
    found = {file for file, tree in _files() if "subprocess" in _imported(tree)}
    assert found == STARTS
    shells = ("system", "popen", "exec", "spawn", "posix_spawn", "fork")
    for file, tree in _files():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                started = node.value.id == "os" and node.attr.startswith(shells)
                assert not started, (file, node.lineno)


def test_nothing_is_evaluated_or_unpickled() -> None:
    """Neither text nor a pickle becomes code."""
    for file, tree in _files():
        assert not FORBIDDEN & _plainly_called(tree), file
        assert not UNSAFE & {name.partition(".")[0] for name in _imported(tree)}, file
