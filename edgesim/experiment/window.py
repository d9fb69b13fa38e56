"""The requests of one repeat: those of its window, or a given number of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesim import radio
from edgesim.errors import InputError
from edgesim.experiment.links import place_users
from edgesim.scenario import Scenario
from edgesim.scenario.scenario import Workload
from edgesim.text import counted
from edgesim.trace.requests import Trace
from edgesim.trace.scale import scaled_window, window_length_s, window_rows

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Window:
    """The requests that one repeat plans.

    Parameters
    ----------
    requests
        Their part of the trace; times count from the start of the repeat.
    length_s
        Duration for which they arrive: of the window, or up to the last of a given
        number.
    rows
        Rows of the trace that they are, if their number is given.
    """

    requests: Trace
    length_s: float
    rows: slice | None = None


def window_of(
    workload: Workload,
    trace: Trace,
    where: str,
    repeat: int,
    rng: np.random.Generator,
) -> Window:
    """Take the requests of one repeat.

    Parameters
    ----------
    workload
        Their window or number, and the scaling.
    trace
        The whole trace.
    where
        Name of ``workload.window_s``, for messages.
    repeat
        Number of the repeat, from 0.
    rng
        Draws the scaling.

    Raises
    ------
    InputError
        If the window is too long to be scaled.
    """
    scaling = workload.scaling(repeat)
    if workload.requests is None:
        requests = scaled_window(trace, scaling, rng, where)
        return Window(requests, window_length_s(where, trace.arrival_s, scaling))
    first = _first_row(workload, trace.arrival_s, repeat)
    rows = slice(first, first + workload.requests)
    columns: dict[str, Any] = {
        name: values[rows] for name, values in trace.columns().items()
    }
    at_s = columns["arrival_s"] * scaling.time
    start_s = float(at_s[0]) if workload.window_s is None else scaling.start_s
    columns["arrival_s"] = at_s - start_s
    return Window(replace(trace, **columns), float(at_s[-1]) - start_s, rows)


def links_of(
    window: Window, trace: Trace, cell: radio.CellSpec, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Draw the links of a window's requests, unless the trace states them.

    A user keeps its place; every request has fading of its own. If the number of
    requests is given, all users of the trace are placed, so that the first requests
    have the same links whatever their number.

    Returns
    -------
    snr_db, efficiency
        SNR of each request averaged over fading, and its spectral efficiency.
    """
    requests = window.requests
    if requests.spectral_efficiency is not None:
        efficiency = requests.spectral_efficiency
        return radio.snr_db_of_efficiency(efficiency, cell), efficiency
    if window.rows is None:
        mean_snr_db, place = place_users(cell, requests.columns(), rng)
    else:
        mean_snr_db, place = place_users(cell, trace.columns(), rng, len(trace.users))
        place = place[window.rows]
    snr_db = mean_snr_db[place]
    return snr_db, radio.faded_efficiency(snr_db, cell, rng)


def check_windows(
    scenario_file: Path, scenario: Scenario, trace_file: Path, arrival_s: Floats
) -> None:
    """Refuse more windows or requests than a trace has, and windows of no request.

    Nothing could be measured of them, and any plan of nothing is optimal.

    Parameters
    ----------
    scenario_file, trace_file
        For messages.
    scenario
        Its windows, and the scaling of arrival times.
    arrival_s
        Arrivals of the trace, in order.

    Raises
    ------
    InputError
        Naming the number of windows or requests available.
    """
    if not len(arrival_s):
        raise InputError(trace_file, "must hold requests, found none")
    workload, repeats = scenario.workload, scenario.run.repeats
    last_s = float(arrival_s[-1]) * workload.time_scale
    if workload.start_s > last_s:
        raise InputError(
            f"{scenario_file}: workload.start_s",
            f"must not be after the last arrival of {trace_file} ({last_s:g} s), "
            f"found {workload.start_s:g}",
        )
    if workload.window_s is not None or workload.requests is None:
        window_s = workload.window_s or math.inf
        possible = max(0, math.floor((last_s - workload.start_s) / window_s) + 1)
        if repeats > max(possible, 1):
            raise InputError(
                f"{scenario_file}: run.repeats",
                f"{repeats} windows of {window_s:g} s from {workload.start_s:g} s on "
                f"are more than {trace_file} has: it ends at {last_s:g} s, room for "
                f"{possible}",
            )
    if workload.requests is not None:
        _check_requests(scenario_file, scenario, trace_file, arrival_s)
    elif all(_is_empty(workload, arrival_s, repeat) for repeat in range(repeats)):
        raise InputError(
            f"{scenario_file}: workload.window_s",
            f"must be long enough for a request, found {workload.window_s} s, and "
            f"{trace_file} has none in the {counted(repeats, 'window')} from "
            f"{workload.start_s:g} s on",
        )


def _is_empty(workload: Workload, arrival_s: Floats, repeat: int) -> bool:
    """Whether a trace has no request in the window of a repeat."""
    first, after = window_rows(arrival_s, workload.scaling(repeat))
    return first == after


def _check_requests(
    scenario_file: Path, scenario: Scenario, trace_file: Path, arrival_s: Floats
) -> None:
    """Refuse more requests than the trace has for the last repeat."""
    workload, repeats = scenario.workload, scenario.run.repeats
    assert workload.requests is not None
    scaling = workload.scaling(repeats - 1)
    there = len(arrival_s) - window_rows(arrival_s, scaling)[0]
    plans = 1 if workload.window_s is not None else repeats
    if plans * workload.requests > there:
        each = f" in each of {plans} repeats" if plans > 1 else ""
        raise InputError(
            f"{scenario_file}: workload.requests",
            f"must be at most {there // plans}{each}, since {trace_file} has {there} "
            f"requests from {scaling.start_s:g} s on, found {workload.requests}",
        )


def _first_row(workload: Workload, arrival_s: Floats, repeat: int) -> int:
    """Find where the requests of a repeat begin, if their number is given."""
    first, _ = window_rows(arrival_s, workload.scaling(repeat))
    if workload.window_s is None:
        first += repeat * (workload.requests or 0)
    return first
