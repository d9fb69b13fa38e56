"""What there is to choose from: what is shipped, and what can be named.

Scenarios, profiles and figures say themselves what they are, solvers in their registry,
policies and measures in their docstrings, parameters where they are named.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from edgesim.experiment.figure import read_figure
from edgesim.experiment.policies import shipped_policy
from edgesim.experiment.sources import library_of, profile_file_of, spawned
from edgesim.library.sharing import model_bytes, shared_bytes
from edgesim.measures.measure import Measures
from edgesim.measures.point import BY_KEY, LABELS, PLAN_LABELS, TIME_LABELS
from edgesim.names import SHIPPED_POLICIES
from edgesim.profile.file import read_profile
from edgesim.scenario.file import locate_scenario, read_scenario
from edgesim.scenario.parameters import NAMED
from edgesim.shipped import locate, shipped_names
from edgesim.text import counted, number
from edgesim.trace.requests import read_trace
from solvers.registry import ALGORITHMS, NO_SHARING, SOLVERS


def _scenario(name: str) -> str:
    return read_scenario(locate("scenario", name)).about


def _trace(name: str) -> str:
    trace = read_trace(locate("trace", name))
    last_s = float(trace.arrival_s[-1]) if len(trace) else 0.0
    return (
        f"{counted(len(trace), 'request')} of {counted(len(trace.models), 'model')} "
        f"in {number(last_s)} s"
    )


def _profile(name: str) -> str:
    profile = read_profile(name)
    provenance = profile.provenance
    models = counted(len(profile.models), "model")
    return f"{provenance.device}, {provenance.kind}: {models}"


def _figure(name: str) -> str:
    return read_figure(locate("figure", name)).title


def _solver(name: str) -> str:
    entry = ALGORITHMS[name]
    extended = "; cache and overlap too" if entry.extended else ""
    whole = "" if entry.sharing else "; loads whole models"
    return f"{entry.takes}{extended}{whole}"


def _policy(name: str) -> str:
    about = (inspect.getdoc(shipped_policy(name)) or "").partition("\n")[0]
    options = ", ".join(inspect.signature(shipped_policy(name)).parameters)
    return f"{about} Options: {options}." if options else about


_BESIDE: Mapping[str, str] = {
    "late_ratio": "late / N; None if N = 0.",
    "dropped_ratio": "dropped / N; None if N = 0.",
    "load_share": "load_s / (b − a).",
    "compute_share": "compute_s / (b − a).",
    "wait_share": "wait_s / (b − a).",
    "idle_share": "idle_s / (b − a).",
    "bytes_loaded_per_s": "bytes_loaded / (b − a).",
    "bytes_saved_per_s": "bytes_saved / (b − a).",
    "rounds_per_s": "rounds / (b − a).",
    "empty_rounds_per_s": "empty_rounds / (b − a).",
    "served": "Requests that the plan serves in time, by its own times.",
    "bound": "Proven bound on the requests that any plan could serve in time.",
    "gap": "(bound − served) / bound; 0 if the bound is 0.",
    "runtime_s": "Wall-clock time of the solver, or of the simulation online.",
    "offered": "Requests for the model.",
    "goodput": "Requests for the model that were in time.",
    "dropped_by": "Requests dropped for the reason, such as 'too late'.",
}
"""Measures that are no fields of :class:`Measures`, or a figure shows one key of."""

_KEYS: Mapping[str, str] = dict.fromkeys(BY_KEY, "MODEL") | {"dropped_by": "REASON"}


def measure_lines() -> dict[str, str]:
    """Say in a sentence what each measure is that a figure can show, in their order.

    Most sentences are those of the docstring of :class:`Measures`; where it has one for
    several measures, each has that of its axis.
    """
    doc = inspect.getdoc(Measures) or ""
    entries = re.findall(
        r"^(\w+)\n((?: +.+\n?)+)", doc.partition("----------\n")[2], re.MULTILINE
    )
    told = {name: f"{label.text.capitalize()}." for name, label in LABELS.items()}
    for name, text in entries:
        sentence = re.split(r"(?<=\.) ", " ".join(text.split()))[0]
        told[name] = sentence.replace("``", "")
    told |= _BESIDE
    named = {name: told[name] for name in (*LABELS, *PLAN_LABELS, *TIME_LABELS)}
    return named | {f"{name}.{_KEYS[name]}": told[name] for name in BY_KEY}


class _Kind(NamedTuple):
    """The names of one kind, and how to tell what one of them is."""

    names: Callable[[], tuple[str, ...]]
    about: Callable[[str], str]


_KINDS: Mapping[str, _Kind] = {
    "scenarios": _Kind(lambda: shipped_names("scenario"), _scenario),
    "traces": _Kind(lambda: shipped_names("trace"), _trace),
    "profiles": _Kind(lambda: shipped_names("profile"), _profile),
    "figures": _Kind(lambda: shipped_names("figure"), _figure),
    "solvers": _Kind(lambda: SOLVERS, _solver),
    "policies": _Kind(lambda: SHIPPED_POLICIES, _policy),
    "measures": _Kind(
        lambda: tuple(measure_lines()), lambda name: measure_lines()[name]
    ),
    "parameters": _Kind(lambda: tuple(NAMED), lambda name: NAMED[name]),
}

KINDS: tuple[str, ...] = tuple(_KINDS)
"""What :func:`names_of` and :func:`about` know; models are those of a scenario."""

NOSHARE = f"each also as NAME{NO_SHARING}, which loads whole models"


def names_of(kind: str) -> tuple[str, ...]:
    """List the names of one of ``KINDS``."""
    return _KINDS[kind].names()


def about(kind: str) -> Iterator[tuple[str, str]]:
    """Go through the names of one of ``KINDS``, each with what it is."""
    for name in names_of(kind):
        yield name, _KINDS[kind].about(name)


class ModelSize(NamedTuple):
    """A model of a library: its bytes, its blocks, and bytes that others hold too."""

    name: str
    bytes: int
    blocks: int
    shared_bytes: int


def models_of(scenario: str | Path) -> list[ModelSize]:
    """List the models of a scenario's library, in its order.

    Parameters
    ----------
    scenario
        A file (TOML), or the name of a shipped one. Its trace is not needed.

    Raises
    ------
    InputError
        When the scenario or its profile is wrong.
    """
    file = locate_scenario(str(scenario))
    found = read_scenario(file)
    profile = read_profile(profile_file_of(file, found))
    library = library_of(file, found, profile, spawned(found.run.seed)[0])
    shared = shared_bytes(library)
    return [
        ModelSize(name, model_bytes(library, name), len(model.blocks), shared[name])
        for name, model in library.models.items()
    ]
