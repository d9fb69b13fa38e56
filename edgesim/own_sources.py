"""The source of the user's own code: what results depend on beside edgesim's own."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
import time
from collections.abc import Mapping
from importlib.machinery import PathFinder
from pathlib import Path

from edgesim.plugins import (
    current_folder_importable,
    import_own,
    is_installed,
    keeping_folder,
    split_name,
)

_SOURCES: dict[str, dict[str, bytes]] = {}
"""Source of the user's own code by module, as it was when it was first imported."""

_SINCE_NS = time.time_ns()
_BEFORE = frozenset(sys.modules)
"""When this module was imported, and what had been imported before, of unknown age."""


def own_sources(name: str) -> Mapping[str, bytes]:
    """Read the source of the user's own code: its module, and those beside it.

    Those are the modules that it imports, directly or not, and that are not installed:
    files beside it mostly. They are read once in a process, like the modules themselves
    are imported; a module that was imported earlier, and whose file may have changed
    since, is imported anew.

    Parameters
    ----------
    name
        ``package.module:name``.

    Returns
    -------
    dict
        Content by the dotted name of the module.

    Raises
    ------
    InputError
        As for :func:`import_own`.
    """
    spec = split_name(name)
    assert spec is not None, name
    place, _ = spec
    if place not in _SOURCES:
        import_own(name)
        found = _sources_from(place)
        if any(map(_may_be_older, found)):
            _forget(found)
            import_own(name)
            found = _sources_from(place)
        _SOURCES[place] = found
    return _SOURCES[place]


def forget_own_code() -> None:
    """Have the user's own modules imported anew: their files may have changed."""
    for sources in _SOURCES.values():
        _forget(sources)
    _SOURCES.clear()


def forget_changed_code() -> None:
    """Have the user's own modules imported anew if one of their files has changed.

    So has one of another folder, which is the current one now.
    """
    for sources in _SOURCES.values():
        for name, source in sources.items():
            file = _source_file(name)
            if file is None or file.read_bytes() != source or _is_another(name, file):
                forget_own_code()
                return


def _is_another(name: str, file: Path) -> bool:
    """Whether a module that would be imported now has another file."""
    if "." in name:
        return False  # its package is compared
    with keeping_folder(), current_folder_importable():
        found = PathFinder.find_spec(name)
    origin = None if found is None else found.origin
    return origin is not None and Path(origin).resolve() != file.resolve()


def _forget(modules: Mapping[str, bytes]) -> None:
    for module in modules:
        sys.modules.pop(module, None)
    importlib.invalidate_caches()


def _may_be_older(name: str) -> bool:
    """Whether a module may have been imported before its file was changed."""
    file = _source_file(name)
    # The time of the change of the inode: no copying sets it back.
    changed = file is not None and file.stat().st_ctime_ns >= _SINCE_NS
    return name in sys.modules and (name in _BEFORE or changed)


def _sources_from(place: str) -> dict[str, bytes]:
    """Follow the imports of a module through files that are not installed."""
    found: dict[str, bytes] = {}
    waiting = [place]
    while waiting:
        name = waiting.pop()
        file = None if name in found else _source_file(name)
        if file is None or (name != place and is_installed(file)):
            continue
        found[name] = file.read_bytes()
        waiting += _imported_by(found[name], name, package=file.stem == "__init__")
    return found


def _source_file(name: str) -> Path | None:
    """Find the file of a module that was imported, or could be."""
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    if file is None and module is None:
        with keeping_folder(), current_folder_importable():
            try:
                spec = importlib.util.find_spec(name)
            except (ImportError, ValueError, AttributeError):
                return None
        file = None if spec is None else spec.origin
    path = Path(file) if file else None
    return path if path is not None and path.suffix == ".py" and path.exists() else None


def _imported_by(source: bytes, name: str, *, package: bool) -> list[str]:
    """List the modules that a source may import, wherever in it."""
    base = name if package else name.rpartition(".")[0]
    found: list[str] = []
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # it was never imported, or not yet
        return found
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parts = base.split(".")
            start = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (start, node.module)))
            found += [module, *(f"{module}.{alias.name}" for alias in node.names)]
    parents = [part for one in found for part in _parents(one)]
    return [*found, *parents]


def _parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]
