"""Scenarios that need only a profile and a trace.

``own-models`` plans windows of requests, ``own-models-online`` serves them as they
arrive. Settings that an ordinary scenario states and these two leave open are chosen
here, and every choice is stated in the output.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any, get_args

import numpy as np

from edgesim.errors import InputError
from edgesim.experiment.workload import Demand
from edgesim.library.build import Library
from edgesim.profile.values import PLACE, Profile, Tier
from edgesim.radio import CellSpec
from edgesim.scenario import Scenario, read_scenario
from edgesim.scenario.key_path import overlap
from edgesim.scenario.scenario import ModelMap
from edgesim.shipped import data_file
from edgesim.text import counted
from edgesim.trace.requests import Trace
from solvers.registry import ALGORITHMS, OWN

OWN_MODELS = "own-models"
OWN_MODELS_ONLINE = "own-models-online"

WINDOW_S = 1.0
"""Requests within this many seconds are planned together."""

WIDE_HZ = 100e9
"""Bandwidth of the cell in which no request waits for its upload."""

MOST_WINDOWS = 10
"""Maximum number of planned windows, however long the trace is."""

_PAIRS_NAMED = 3

_ORDER: Mapping[ModelMap, str] = {
    "rank": " in order",
    "round-robin": " in turn",
    "families": " in turn, its families mixed",
    "random": " in an order drawn with run.seed",
}
"""In which order a trace's models become those of a profile, if not by name."""


def is_own_models(scenario_file: Path) -> bool:
    """Whether a path leads to the shipped file of either; copies do not count."""
    shipped = (
        data_file("traces", f"{name}.toml") for name in (OWN_MODELS, OWN_MODELS_ONLINE)
    )
    return any(
        path is not None and scenario_file.resolve() == path.resolve()
        for path in shipped
    )


def choose(
    profile_file: Path, profile: Profile, trace: Demand, scenario: Scenario
) -> dict[str, Any]:
    """Choose the settings that a profile and a trace leave open.

    - The library is of kind ``checkpoints`` if the profile knows the content of blocks,
      otherwise ``profile``: nothing is shared.
    - Blocks are loaded from the first of pinned memory, pageable memory and disk for
      which the profile has times of every model.
    - Models of the trace are those of the profile if it has all their names; otherwise
      the most requested one maps to the first of the profile, and so on, wrapping
      around. Where blocks are shared the profile's families are mixed
      (:func:`edgesim.library.family_order.family_order`), or the names of its models
      would decide how popular each family is.
    - The cell is so wide that uploads take next to no time, unless the scenario or the
      user says something about it (:func:`wide_cell`).
    - If GPU memory is bounded, blocks stay while it has room (residency ``cache``),
      unless a solver takes none of that.
    - For planning, the trace is cut into whole windows of 1 s, starting at the second
      of the first request, at most 10 of them; a trace shorter than 1 s is a single
      window. If the number of requests is given, only windows from which the trace has
      that many count.

    Parameters
    ----------
    profile_file
        For messages.
    profile, trace
        The profile and the trace.
    scenario
        The scenario to be completed.

    Returns
    -------
    dict
        Values of the scenario by key path.

    Raises
    ------
    InputError
        If no tier holds load times of every model.
    """
    kind = "checkpoints" if profile.shares_content else "profile"
    named = profile.models.keys() >= set(trace.models)
    values: dict[str, Any] = {
        "library.kind": kind,
        "workload.models": "name" if named else _rule(kind),
    }
    if scenario.gpu.load_rate_bytes_per_s is None:
        values["gpu.load_from"] = _tier(profile_file, profile)
    if scenario.noise is None or not scenario.noise.fading:
        values["cell"] = wide_cell(scenario.cell).model_dump()
    if scenario.gpu.memory_bytes is not None and all(
        ALGORITHMS.get(name, OWN).extended for name in scenario.run.solvers
    ):
        values["gpu.residency"] = "cache"
    if scenario.online is not None:
        return values
    arrival_s = trace.arrival_s
    first_s = float(arrival_s[0]) if len(arrival_s) else 0.0
    last_s = float(arrival_s[-1]) if len(arrival_s) else 0.0
    start_s = WINDOW_S * math.floor(first_s / WINDOW_S)
    windows = math.floor((last_s - start_s) / WINDOW_S)
    if scenario.workload.requests is not None:
        starts_s = start_s + WINDOW_S * np.arange(windows)
        there = len(arrival_s) - np.searchsorted(arrival_s, starts_s)
        windows = int(np.count_nonzero(there >= scenario.workload.requests))
    return values | {
        "workload.start_s": start_s,
        "workload.window_s": WINDOW_S if windows else None,
        "run.repeats": max(1, min(windows, MOST_WINDOWS)),
    }


def _rule(kind: str) -> ModelMap:
    """How models map to those of a library of a kind if names do not say."""
    return "families" if kind == "checkpoints" else "round-robin"


def wide_cell(cell: CellSpec) -> CellSpec:
    """Widen a cell until no request is lost to it, with everybody's SNR as before.

    The band is :data:`WIDE_HZ` wide, users transmit at the same power a Hz, and neither
    fading nor shadowing takes anybody's link. An upload takes microseconds.
    """
    factor = WIDE_HZ / cell.bandwidth_hz
    changes = {
        "bandwidth_hz": WIDE_HZ,
        "tx_power_dbm": round(cell.tx_power_dbm + 10 * math.log10(factor), 3),
        "fading": "none",
        "shadowing_db": 0.0,
    }
    return CellSpec.model_validate({**cell.model_dump(), **changes})


def complete(
    scenario: Scenario,
    values: Mapping[str, Any],
    given: Collection[str],
    own: Collection[str] = (),
) -> Scenario:
    """Fill in the chosen values, except those that the user stated.

    Parameters
    ----------
    scenario
        One of the two shipped scenarios, unchanged or changed.
    values
        The chosen values, by key path.
    given
        Key paths for which the user gave values.
    own
        Names of solvers and policies that are passed as objects.
    """
    assert scenario.file is not None
    shipped = read_scenario(scenario.file)
    missing = {
        key: value
        for key, value in values.items()
        if not any(overlap(key, one) for one in given)
        and _value(scenario, key) == _value(shipped, key)
    }
    return scenario.replace(own=own, **missing)


def _value(scenario: Scenario, key: str) -> Any:
    return reduce(getattr, key.split("."), scenario)


def _tier(profile_file: Path, profile: Profile) -> Tier:
    tiers: tuple[Tier, ...] = get_args(Tier)
    for tier in tiers:
        if all(tier in model.tiers for model in profile.models.values()):
            return tier
    tiers_by_model = "; ".join(
        f"{name}: {', '.join(model.tiers)}" for name, model in profile.models.items()
    )
    raise InputError(
        f"{profile_file}: models",
        f"must have load times from one tier that is the same for all of them, "
        f"found {tiers_by_model}",
    )


def assumptions(
    scenario: Scenario, trace: Demand, library: Library, model_names: Sequence[str]
) -> tuple[str, ...]:
    """Describe the settings in effect, chosen here or set by the scenario.

    Parameters
    ----------
    scenario
        The completed scenario.
    trace, library, model_names
        The requests, the models, and the library model of each model of the trace.

    Returns
    -------
    tuple of str
        Lines for people.
    """
    models = f"models: {_models(scenario, trace, library, model_names)}"
    if scenario.online is None:
        return (
            *_hardware(scenario),
            f"requests: {_windows(scenario, trace)}",
            f"deadlines: {_deadlines(scenario, trace)}",
            models,
        )
    return (*_hardware(scenario), models)


def _hardware(scenario: Scenario) -> tuple[str, ...]:
    """Describe the assumptions on library, GPU and cell."""
    gpu = scenario.gpu
    shared = (
        "models share all blocks of equal content"
        if scenario.library.kind == "checkpoints"
        else "the profile knows no contents, so models share nothing"
    )
    if gpu.load_rate_bytes_per_s is None:
        loads = f"from {PLACE[gpu.load_from]}, as the profile times them"
    else:
        loads = f"at {gpu.load_rate_bytes_per_s / 1e9:g} GB/s"
    if gpu.load_time_scale != 1:
        loads += f", {gpu.load_time_scale:g} times as long"
    if gpu.weight_scale != 1:
        loads += f", of {gpu.weight_scale:g} times its bytes"
    stay = (
        "what it has room for"
        if gpu.residency == "cache"
        else "those of the round before"
    )
    overlap = "" if gpu.overlap else "; no load while a batch is computed"
    memory = (
        "without bound" if gpu.memory_bytes is None else f"{gpu.memory_bytes:,} bytes"
    )
    return (
        f"library: {shared}",
        f"loads: {loads}; GPU memory: {memory}",
        f"blocks that stay in GPU memory: {stay}{overlap}",
        f"cell: {_cell(scenario.cell)}",
    )


def _cell(cell: CellSpec) -> str:
    if (cell.bandwidth_hz, cell.fading) == (WIDE_HZ, "none"):
        return (
            f"{WIDE_HZ / 1e9:g} GHz, so that uploads take next to no time and the GPU "
            f"alone decides; with a bandwidth given (20 MHz in the scenario campus) it "
            f"is the campus cell"
        )
    return (
        f"{cell.bandwidth_hz / 1e6:g} MHz at {cell.carrier_hz / 1e9:g} GHz, radius "
        f"{cell.radius_m:g} m, {cell.path_loss} path loss, {cell.fading} fading, as in "
        f"the scenario campus"
    )


def _windows(scenario: Scenario, trace: Demand) -> str:
    window_s, start_s = scenario.workload.window_s, scenario.workload.start_s
    requests = scenario.workload.requests
    if requests is not None:
        plans = counted(scenario.run.repeats, "plan")
        where = "" if window_s is None else f", one every {window_s:g} s"
        return (
            f"{plans} of {requests} each from {start_s:g} s on{where}, of the "
            f"{len(trace.arrival_s):,} in the trace"
        )
    if window_s is None:
        return f"the whole trace in one plan ({len(trace.arrival_s)})"
    repeats = scenario.run.repeats
    end_s = start_s + repeats * window_s
    first, after = np.searchsorted(trace.arrival_s, (start_s, end_s)).tolist()
    count = f"{repeats} window{'s' if repeats > 1 else ''} of {window_s:g} s"
    total = len(trace.arrival_s)
    return (
        f"{count}, from {start_s:g} to {end_s:g} s, each planned as a whole: "
        f"{after - first:,} of the {total:,} in the trace, which ends at "
        f"{trace.arrival_s[-1]:g} s"
    )


def _deadlines(scenario: Scenario, trace: Demand) -> str:
    window_s, deadline_s = scenario.workload.window_s, scenario.workload.deadline_s
    if deadline_s is not None:
        said = f"{deadline_s:g} s for all"
    else:
        said = "each request's own (slo_s), from when its window is planned"
        if isinstance(trace, Trace) and len(trace):
            deadline_s = float(np.median(trace.slo_s))
    if scenario.workload.requests is not None or None in (window_s, deadline_s):
        return said
    assert window_s is not None
    assert deadline_s is not None
    if deadline_s < window_s:
        said += (
            f"; a window is longer than these {deadline_s:g} s, so a plan has to serve "
            f"more requests at once than would ever wait together, and a policy, which "
            f"serves requests as they come, does not"
        )
    return said


def _models(
    scenario: Scenario, demand: Demand, library: Library, model_names: Sequence[str]
) -> str:
    if scenario.workload.zipf is not None:
        return (
            f"drawn for each request from all {len(library.models)} of the profile, "
            f"their popularity by Zipf's law with exponent {scenario.workload.zipf:g}"
        )
    unused = len(library.models) - len(set(model_names))
    rest = (
        f"; {unused} other{' is' if unused == 1 else 's are'} not requested"
        if unused
        else ""
    )
    rule = scenario.workload.models
    if rule == "name":
        return f"the trace's, found in the profile by their names{rest}"
    absent = [name for name in demand.models if name not in library.models]
    chosen = absent and rule == _rule(scenario.library.kind)
    order = demand.popularity()[:_PAIRS_NAMED].tolist()
    pairs = ", ".join(f"{demand.models[code]} as {model_names[code]}" for code in order)
    more = ", …" if len(demand.models) > len(order) else ""
    if chosen:
        why = f"{absent[0]!r} of the trace is not in the profile, so its "
    else:
        why = "the trace's "
    count = len(demand.models)
    become = "becomes" if count == 1 else "become"
    return (
        f"{why}{counted(count, 'model')} {become} the profile's "
        f"{len(library.models)}{_ORDER[rule]}, the most requested first "
        f"({pairs}{more}){rest}"
    )
