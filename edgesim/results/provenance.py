"""Provenance of results: versions, inputs, and the library."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from edgesim.experiment.sources import Source
from edgesim.library import sharing
from edgesim.library.build import Library
from edgesim.scenario import Scenario
from edgesim.text import counted, size_text

RUN = "edgesim.run/1"
PACKAGES = ("numpy", "simpy", "networkx", "pulp", "highspy", "matplotlib", "pydantic")


def provenance(
    scenario: Scenario,
    sources: Mapping[str, Source],
    runtime_s: Mapping[str, Sequence[float]],
    assumed: Sequence[str] = (),
    failed: Mapping[str, Exception] | None = None,
) -> dict[str, Any]:
    """Record the origin of the results, for ``run.json``.

    Parameters
    ----------
    scenario, sources
        The scenario, and the files it was read from, by role.
    runtime_s
        Wall-clock times by solver or policy, one per repeat.
    assumed
        Settings that no input states and that were chosen, a line each.
    failed
        User's own solvers that failed and are omitted, with the reason.
    """
    return {
        "schema": RUN,
        "edgesim": version("edgesim"),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "seed": scenario.run.seed,
        "inputs": {
            role: {"file": source.path.name, "sha256": source.sha256}
            for role, source in sources.items()
        },
        "scenario": scenario.model_dump(mode="json", exclude_none=True),
        "assumed": list(assumed),
        "runtime_s": {name: list(times) for name, times in runtime_s.items()},
        **({"failed": {n: str(why) for n, why in failed.items()}} if failed else {}),
    }


def library_facts(library: Library) -> dict[str, Any]:
    """Count a library's models, blocks, clusters and bytes, for ``summary.json``."""
    return {
        "models": len(library.models),
        "blocks": len(library.blocks),
        "clusters": len(sharing.clusters(library)),
        "laminar": sharing.is_laminar(library),
        "bytes_total": sharing.bytes_total(library),
        "bytes_distinct": sharing.bytes_distinct(library),
    }


def library_text(facts: Mapping[str, Any]) -> str:
    """Format the result of :func:`library_facts` as a line for people."""
    total, distinct = facts["bytes_total"], facts["bytes_distinct"]
    return (
        f"{counted(facts['models'], 'model')} in "
        f"{counted(facts['clusters'], 'cluster')}, "
        f"{'laminar' if facts['laminar'] else 'crossing'} sharing: "
        f"{size_text(distinct)} distinct of {size_text(total)} "
        f"(sharing saves {1 - distinct / total:.0%})"
    )


def assumed_text(assumed: Sequence[str]) -> str:
    """Format the assumptions for people, one per line."""
    head = "assumed, since neither profile nor trace says so:"
    return "\n".join([head, *(f"  {line}" for line in assumed)])
