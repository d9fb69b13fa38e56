"""The measures of one run as columns, and their means over the repeats of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from edgesim.engine.records import Floats
from edgesim.errors import InputError, short
from edgesim.measures.intervals import QUOTIENTS, Estimate, estimate
from edgesim.measures.measure import Measures
from solvers.spelling import did_you_mean


class Label(NamedTuple):
    """What stands on the axis of a measure, its unit in SI, and which values are good.

    Values are divided by ``unit``.
    """

    text: str
    unit: float = 1.0
    less_is_better: bool = False


LABELS: Mapping[str, Label] = {
    "requests": Label("requests"),
    "in_time": Label("requests served in time"),
    "late": Label("requests served late", less_is_better=True),
    "dropped": Label("requests dropped", less_is_better=True),
    "on_time_ratio": Label("share of requests in time"),
    "late_ratio": Label("share of requests late", less_is_better=True),
    "dropped_ratio": Label("share of requests dropped", less_is_better=True),
    "in_time_per_s": Label("requests served in time per second"),
    "finished": Label("requests computed"),
    "latency_p50_s": Label("median latency (s)", less_is_better=True),
    "latency_p95_s": Label("95th percentile of latency (s)", less_is_better=True),
    "latency_p99_s": Label("99th percentile of latency (s)", less_is_better=True),
    "span_s": Label("time until the last round ends (s)", less_is_better=True),
    "load_s": Label("time loading (s)", less_is_better=True),
    "compute_s": Label("time computing (s)"),
    "wait_s": Label("time waiting for inputs (s)", less_is_better=True),
    "idle_s": Label("time idle (s)"),
    "load_share": Label("share of time loading", less_is_better=True),
    "compute_share": Label("share of time computing"),
    "wait_share": Label("share of time waiting for inputs", less_is_better=True),
    "idle_share": Label("share of time idle"),
    "spectrum_use": Label("share of the band in use"),
    "bytes_loaded": Label("bytes loaded (GB)", 1e9, less_is_better=True),
    "bytes_saved": Label("bytes saved by sharing (GB)", 1e9),
    "bytes_loaded_per_s": Label("bytes loaded (GB/s)", 1e9, less_is_better=True),
    "bytes_saved_per_s": Label("bytes saved by sharing (GB/s)", 1e9),
    "rounds": Label("rounds"),
    "empty_rounds": Label("rounds loaded in vain", less_is_better=True),
    "computed": Label("requests computed in batches"),
    "rounds_per_s": Label("rounds per second"),
    "empty_rounds_per_s": Label(
        "rounds loaded in vain per second", less_is_better=True
    ),
    "mean_batch": Label("requests per batch"),
    "mean_waiting": Label("requests waiting on average", less_is_better=True),
}
"""The measures of every run: the columns of a sweep, in their order."""

PLAN_LABELS: Mapping[str, Label] = {
    "served": Label("requests that the plan serves in time"),
    "bound": Label("proven bound on requests in time"),
    "gap": Label("gap to the proven bound", less_is_better=True),
}
"""What a plan states besides."""

RUNTIME = "runtime_s"
TIME_LABELS: Mapping[str, Label] = {
    RUNTIME: Label("solver time (s)", less_is_better=True)
}
"""Wall-clock times: these are never the same twice."""

_KEYED: Mapping[str, Label] = {
    "offered": Label("requests for"),
    "goodput": Label("requests in time for"),
    "dropped_by": Label("requests dropped:", less_is_better=True),
}
BY_KEY = tuple(_KEYED)
"""Measures with a value for each model or reason: ``goodput.MODEL``."""

_OVER_SPAN = ("_share", "_per_s")


def columns_of(measures: Measures) -> dict[str, Any]:
    """Give every measure by name: numbers, None if undefined, and those ``BY_KEY``."""
    found = {one.name: getattr(measures, one.name) for one in fields(measures)}
    for name, quotient in QUOTIENTS.items():
        if name not in found:
            above, below = quotient(measures)
            nothing = 0.0 if name.endswith(_OVER_SPAN) else None
            found[name] = above / below if below else nothing
    ordered = {name: found[name] for name in LABELS}
    return ordered | {name: dict(found[name]) for name in BY_KEY}


def known_measure(name: str, *, online: bool) -> Label:
    """Return the label of a measure that can be drawn.

    Parameters
    ----------
    name
        One of ``LABELS`` or ``TIME_LABELS``; for plans also of ``PLAN_LABELS``; or
        ``goodput.MODEL``, ``offered.MODEL``, ``dropped_by.REASON``.
    online
        Whether the runs serve requests as they arrive.

    Raises
    ------
    ValueError
        Naming what is allowed.
    """
    known = {**LABELS, **TIME_LABELS, **({} if online else PLAN_LABELS)}
    if online and name == "span_s":
        return Label("time measured (s)")
    if name in known:
        return known[name]
    group, dot, key = name.partition(".")
    if dot and key and group in _KEYED:
        label = _KEYED[group]
        return label._replace(text=f"{label.text} {key}")
    if online and name in PLAN_LABELS:
        raise ValueError(f"{name} is a measure of plans, and this scenario is online")
    raise ValueError(
        f"must be one of {', '.join(known)}, or {', '.join(BY_KEY)} with a dot and a "
        f"name, found {short(name)}{did_you_mean(name, known)}"
    )


def value_of(columns: Mapping[str, Any], measure: str) -> Any:
    """Look a measure up in the columns of a point; 0 for a model not asked for."""
    group, dot, key = measure.partition(".")
    if dot and group in BY_KEY:
        return columns[group].get(key, 0)
    return columns[measure]


def mean_over(
    points: Sequence[Mapping[str, Any]],
    measure: str,
    *,
    online: bool,
    others: Sequence[Mapping[str, Any]] | None = None,
    relative: bool = False,
) -> Estimate:
    """Average a measure over repeats as ``edgesim run`` does, or a difference of two.

    Plans: the mean of the repeats' values. Online: Σ y / Σ x of a measure y / x
    (:mod:`edgesim.measures.intervals`).

    Parameters
    ----------
    points
        Columns of one solver or policy, a point a repeat.
    measure, online
        The measure, and whether the runs are online.
    others
        Columns of another one in the same repeats: the mean is that of the paired
        differences.
    relative
        Whether differences are a share of the other's mean.
    """
    first = _fractions(points, measure, online=online)
    second = None if others is None else _fractions(others, measure, online=online)
    return estimate(first, second, relative=relative)


def _fractions(
    points: Sequence[Mapping[str, Any]], measure: str, *, online: bool
) -> Floats:
    """Numerators and denominators of each repeat, shape (n, 2)."""
    found = np.zeros((len(points), 2))
    for place, columns in enumerate(points):
        if online and measure in QUOTIENTS:
            measures: Any = SimpleNamespace(**columns)
            found[place] = QUOTIENTS[measure](measures)
            continue
        value = value_of(columns, measure)
        if isinstance(value, str):
            raise InputError(measure, f"is no number, found {short(value)}")
        found[place] = (0.0, 0.0) if value is None else (value, 1.0)
    return found
