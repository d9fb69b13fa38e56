"""What is allowed but looks as if something else had been meant: units, one model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from edgesim.experiment.inputs import Inputs
from edgesim.scenario.key_path import overlap
from edgesim.text import counted, number
from edgesim.trace.requests import Trace
from edgesim.trace.scale import window_rows

_NUMBERS = re.compile(r"[-+]?[0-9][0-9,.]*(e[-+]?[0-9]+)?")


class _Usual(NamedTuple):
    """What a value of a key usually lies between, and what its unit is."""

    key: str
    unit: str
    least: float
    most: float


_USUAL = (
    _Usual("cell.bandwidth_hz", "Hz", 1e4, 1e11),
    _Usual("cell.carrier_hz", "Hz", 1e7, 1e12),
    _Usual("cell.radius_m", "m", 1.0, 1e5),
    _Usual("cell.tx_power_dbm", "dBm", -60.0, 80.0),
    _Usual("gpu.memory_bytes", "B", 1e6, 1e13),
    _Usual("gpu.load_rate_bytes_per_s", "B/s", 1e5, 1e13),
    _Usual("workload.deadline_s", "s", 1e-4, 1e5),
)
"""Wide enough that whoever means what is written is hardly ever asked."""

LEAST_INPUT_BYTES = 16
"""Inputs of fewer bytes, by their median, look like kB or MB."""

MOST_SLO_S = 3600.0
"""Deadlines of more seconds, by their median, look like ms."""

SAMPLE = 10_000
"""Medians are those of this many requests, the first."""

OTHER_DEADLINE = 100.0
"""A deadline this many times those of the trace, or less, looks like another unit."""

LONGER = 1.5
"""A window this many times as long as what is left of the trace is too long."""


def doubts(inputs: Inputs, typed: Mapping[str, str] | None = None) -> list[str]:
    """Say what looks as if something else were meant; it is run as it is.

    Numbers that look like another unit, and a trace that asks for a single model.

    Parameters
    ----------
    inputs
        Those of the run.
    typed
        What was typed for a value, ``--set KEY``, by its key path.

    Returns
    -------
    list of str
        A line each, naming file and key, or what was typed.
    """
    found = []
    for text in (
        *(*_unusual(inputs), *_deadline(inputs)),
        *(*_window(inputs), *_overlapping(inputs)),
    ):
        key, _, what = text.partition(": ")
        places = [place for one, place in (typed or {}).items() if overlap(one, key)]
        place, *_ = *places, f"{inputs.scenario_file}: {key}"
        found.append(f"{place}: {what}")
    return [*found, *_trace(inputs), *_models(inputs)]


class Said(NamedTuple):
    """A doubt about a figure: its place in the grid, the text, and how often it is so.

    ``places`` is the number of places at which the same key is doubtful.
    """

    where: str
    text: str
    places: int

    def __str__(self) -> str:
        """Return one line."""
        more = f" (and at {counted(self.places - 1, 'other value')})"
        where = f"{self.where}: " if self.where else ""
        return f"{where}{self.text}{more if self.places > 1 else ''}"


def once_each(found: Iterable[tuple[str, str]]) -> list[Said]:
    """Keep the first doubt of each key, and count the others.

    Parameters
    ----------
    found
        Places in the grid of a figure, and what :func:`doubts` says there.
    """
    kept: dict[str, Said] = {}
    for where, text in found:
        key = _NUMBERS.sub("", text)
        first = kept.get(key, Said(where, text, 0))
        kept[key] = first._replace(places=first.places + 1)
    return list(kept.values())


def unusual(key: str, value: float) -> str | None:
    """Say of a value that it is unusual for a key; None if it is not."""
    for known, unit, least, most in _USUAL:
        if known == key and not least <= value <= most:
            size = "little" if value < least else "much"
            return f"{value:g} {unit} is very {size}; is it in another unit?"
    return None


def _unusual(inputs: Inputs) -> Iterator[str]:
    for key, *_ in _USUAL:
        section, _, name = key.partition(".")
        value = getattr(getattr(inputs.scenario, section), name)
        what = None if value is None else unusual(key, value)
        if what is not None:
            yield f"{key}: {what}"


def _deadline(inputs: Inputs) -> Iterator[str]:
    """Compare the deadline of all with those that the trace states."""
    deadline_s = inputs.scenario.workload.deadline_s
    if deadline_s is None or not len(inputs.trace):
        return
    stated_s = _median(inputs, "slo_s")
    times = deadline_s / stated_s
    if not 1 / OTHER_DEADLINE < times < OTHER_DEADLINE:
        compared = f"{times:,.0f} times" if times > 1 else f"1/{1 / times:,.0f} of"
        yield (
            f"workload.deadline_s: {deadline_s:g} s is {compared} the deadlines in the "
            f"trace, {stated_s:g} s by their median; is it in another unit?"
        )


def _median(inputs: Inputs, column: str) -> float:
    """Return the median of a column of the trace, over its first requests."""
    trace = inputs.trace
    columns = trace.columns() if isinstance(trace, Trace) else trace.columns
    return float(np.median(columns[column][:SAMPLE]))


def _window(inputs: Inputs) -> Iterator[str]:
    workload, arrival_s = inputs.scenario.workload, inputs.trace.arrival_s
    if workload.window_s is None or not len(arrival_s):
        return
    left_s = float(arrival_s[-1]) * workload.time_scale - workload.start_s
    if left_s > 0 and workload.window_s > LONGER * left_s:
        yield (
            f"workload.window_s: {workload.window_s:g} s is longer than the trace, "
            f"whose last request comes {left_s:g} s after workload.start_s; is it in "
            f"another unit?"
        )


def _overlapping(inputs: Inputs) -> Iterator[str]:
    """Find repeats of a given number of requests that have some in common."""
    workload, repeats = inputs.scenario.workload, inputs.scenario.run.repeats
    if None in (workload.requests, workload.window_s) or repeats < 2:
        return
    firsts = [
        window_rows(inputs.trace.arrival_s, workload.scaling(repeat))[0]
        for repeat in range(repeats)
    ]
    assert workload.requests is not None
    between = int(min(np.diff(firsts)))
    if workload.requests > between:
        yield (
            f"workload.requests: {workload.requests} are more than come in each window "
            f"of {workload.window_s:g} s ({between} in one), so repeats have requests "
            f"in common and their intervals are too narrow; lengthen workload.window_s"
        )


def _trace(inputs: Inputs) -> Iterator[str]:
    file = inputs.sources["trace"].path
    if not len(inputs.trace):
        return
    size, slo_s = _median(inputs, "input_bytes"), _median(inputs, "slo_s")
    if size < LEAST_INPUT_BYTES:
        yield (
            f"{file}: input_bytes: the median is {number(size)} B; is it in another "
            f"unit?"
        )
    if slo_s > MOST_SLO_S:
        yield (
            f"{file}: slo_s: the median is {number(slo_s)} s; is it in another unit?"
        )


def _models(inputs: Inputs) -> Iterator[str]:
    trace, models = inputs.trace, len(inputs.library.models)
    if inputs.scenario.workload.zipf is not None or models < 2:
        return
    per_model = (
        np.bincount(trace.model, minlength=len(trace.models))
        if isinstance(trace, Trace)
        else trace.per_model
    )
    asked = {inputs.model_names[code] for code in np.flatnonzero(per_model).tolist()}
    if len(asked) == 1:
        yield (
            f"{inputs.sources['trace'].path}: model: every request asks for "
            f"{asked.pop()!r}, one of {models} models of the library; is that meant? "
            f"workload.zipf draws models"
        )
