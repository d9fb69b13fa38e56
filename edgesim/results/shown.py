"""What a figure shows of its rows: a mean and an interval for each mark."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from edgesim.engine.records import REASONS
from edgesim.errors import InputError, short
from edgesim.experiment.figure import BEST, NOSHARE, Figure, place_of
from edgesim.measures.intervals import Estimate
from edgesim.measures.point import BY_KEY, Label, known_measure, mean_over
from edgesim.plotting.marks import Frame, Mark, Vertical
from edgesim.plugins import is_own
from edgesim.scenario.parameters import axis_of
from solvers.registry import NO_SHARING
from solvers.spelling import did_you_mean

_WITHOUT_UNIT = re.compile(r" \([^)]*\)$")

Row = Mapping[str, Any]
Outer = str | int | float | None
"""A panel's title or a value of the second parameter; None if there is neither."""


def measure_of(figure: Figure, *, online: bool) -> str:
    """Return the measure on the y axis."""
    return figure.plot.measure or ("on_time_ratio" if online else "in_time")


def check_shown(
    where: str,
    figure: Figure,
    names: Sequence[str],
    models: Sequence[str],
    *,
    online: bool,
) -> None:
    """Refuse a measure or a comparison that there is not, before anything is computed.

    Parameters
    ----------
    where
        The figure's file, for messages.
    figure
        The figure.
    names
        Its solvers or policies.
    models
        The models of its libraries.
    online
        Whether its runs are online.

    Raises
    ------
    InputError
        Naming the key.
    """
    measure = measure_of(figure, online=online)
    try:
        known_measure(measure, online=online)
        _check_key(measure, names, models)
    except ValueError as error:
        raise InputError(f"{where}: plot.measure", str(error)) from None
    _check_unit(where, figure, measure, online=online)
    compare = figure.plot.compare
    if compare is None:
        return
    pairs = [name for name in names if f"{name}{NO_SHARING}" in names]
    listed = ", ".join(names)
    if compare == NOSHARE and not pairs:
        raise InputError(
            f"{where}: plot.compare",
            f"{NOSHARE!r} needs a solver or policy and its {NO_SHARING} twin, found "
            f"{listed}",
        )
    if compare not in (NOSHARE, BEST, *names):
        raise InputError(
            f"{where}: plot.compare",
            f"must be {NOSHARE}, {BEST} or one of those that run ({listed}), found "
            f"{compare!r}",
        )
    if compare != NOSHARE and len(names) < 2:
        raise InputError(
            f"{where}: plot.compare", f"needs two or more to compare, found {listed}"
        )


def _check_key(measure: str, names: Sequence[str], models: Sequence[str]) -> None:
    """Refuse a model that no library has, and a reason that no policy gives.

    Policies of the user's own have reasons of their own.

    Raises
    ------
    ValueError
        Naming what there is.
    """
    group, _, key = measure.partition(".")
    if group not in BY_KEY or (group == "dropped_by" and any(map(is_own, names))):
        return
    what, known = ("reason", REASONS) if group == "dropped_by" else ("model", models)
    if key not in known:
        raise ValueError(
            f"there is no {what} {key!r}, but {short(list(known))}"
            f"{did_you_mean(key, known)}"
        )


def _check_unit(where: str, figure: Figure, measure: str, *, online: bool) -> None:
    """Refuse a unit under the measure's own label, which names another one."""
    plot, known = figure.plot, known_measure(measure, online=online).unit
    if plot.y_label is None and plot.y_unit not in (None, known):
        raise InputError(
            f"{where}: plot.y_unit",
            f"needs y_label, which says what it is, unless it is {known:g}",
        )


def marks_of(
    figure: Figure, rows: Sequence[Row], *, online: bool
) -> dict[Outer, list[Mark]]:
    """Condense rows to marks, by panel or second value.

    Parameters
    ----------
    figure
        What is to be shown.
    rows
        The points, with ``value``, ``name``, ``repeat`` and all measures; ``panel`` or
        ``second`` where there are such.
    online
        Whether the runs are online.
    """
    plot, measure = figure.plot, measure_of(figure, online=online)
    label = known_measure(measure, online=online)
    groups: dict[Outer, dict[Any, dict[str, list[Row]]]] = {}
    for row in rows:
        outer = row.get("panel", row.get("second"))
        by_name = groups.setdefault(outer, {}).setdefault(row["value"], {})
        by_name.setdefault(row["name"], []).append(row)
    found: dict[Outer, list[Mark]] = {}
    for outer, by_value in groups.items():
        found[outer] = []
        for value, by_name in by_value.items():
            for name, estimate in _shown(figure, by_name, measure, label, online):
                if estimate.mean is None:
                    continue
                scale = 100.0 if plot.relative else 1 / (plot.y_unit or label.unit)
                half = estimate.half_width
                found[outer].append(
                    Mark(
                        value,
                        name,
                        estimate.mean * scale,
                        None if half is None else half * scale,
                        estimate.spans,
                    )
                )
    return found


def _shown(
    figure: Figure,
    by_name: Mapping[str, Sequence[Row]],
    measure: str,
    label: Label,
    online: bool,
) -> list[tuple[str, Estimate]]:
    """Estimate what each line shows at one value."""
    compare, relative = figure.plot.compare, figure.plot.relative

    def mean(name: str, other: str | None = None) -> Estimate:
        return mean_over(
            by_name[name],
            measure,
            online=online,
            others=None if other is None else by_name[other],
            relative=relative and other is not None,
        )

    if compare is None:
        return [(name, mean(name)) for name in by_name]
    if compare == NOSHARE:
        return [
            (name, mean(name, name + NO_SHARING))
            for name in by_name
            if name + NO_SHARING in by_name
        ]
    if compare == BEST:
        means = {name: mean(name).mean for name in by_name}
        known = {name: value for name, value in means.items() if value is not None}
        if not known:
            return []
        best = (min if label.less_is_better else max)(known, key=lambda n: known[n])
        return [(name, mean(name, best)) for name in known]
    if compare not in by_name:  # that one does not run in this panel or case
        return []
    return [(name, mean(name, compare)) for name in by_name if name != compare]


def frame_of(figure: Figure, *, online: bool) -> Frame:
    """Return what the axes of a figure say, and where they end."""
    plot, sweep = figure.plot, figure.sweep
    label = known_measure(measure_of(figure, online=online), online=online)
    x_label, x_unit = _axis(sweep.parameter, plot.x_label, plot.unit)
    second = figure.second
    second_label, second_unit = _axis(
        None if second is None else second.parameter,
        plot.second_label,
        plot.second_unit,
    )
    return Frame(
        x_label=x_label,
        x_unit=x_unit,
        x_values=sweep.places,
        x_at=_places(sweep.places, sweep.at),
        second_label=second_label,
        second_unit=second_unit,
        second_at={}
        if second is None
        else _places([*map(place_of, second.values)], second.at),
        y_label=plot.y_label or _y_label(figure, label, online=online),
        log_x=plot.x_scale == "log",
        log_y=plot.y_scale == "log",
        x_limits=plot.x_limits,
        y_limits=plot.y_limits,
        top=1.02 if _is_share(figure, online=online) else None,
        compared=plot.compare is not None,
        from_zero=plot.y_scale == "linear",
        verticals=tuple(Vertical(mark.x, mark.label) for mark in plot.marks),
    )


def _axis(
    parameter: str | None, label: str | None, unit: float | None
) -> tuple[str, float]:
    """Return an axis' label and unit: those given, or those of the parameter."""
    if parameter is None:
        return label or "", unit or 1.0
    axis = axis_of(parameter)
    return axis.label if label is None else label, axis.unit if unit is None else unit


def _places(values: Sequence[Any], at: Sequence[float] | None) -> dict[Any, Any]:
    """Map values to where they stand."""
    return {} if at is None else dict(zip(values, at, strict=True))


def _is_share(figure: Figure, *, online: bool) -> bool:
    """Whether the measure lies between 0 and 1."""
    measure = measure_of(figure, online=online)
    return figure.plot.compare is None and (
        measure.endswith(("_ratio", "_share")) or measure == "spectrum_use"
    )


def _y_label(figure: Figure, label: Label, *, online: bool) -> str:
    """Say what the y axis shows."""
    plot = figure.plot
    # A share has no unit, and neither has a share of what has one.
    text = _WITHOUT_UNIT.sub("", label.text) if plot.relative else label.text
    if not online and measure_of(figure, online=online) == "in_time":
        text = f"{text} per plan"
    if plot.compare is None:
        return text
    if plot.compare == NOSHARE:
        what = f"gain of sharing in\n{text}"
        if label.less_is_better:
            what = f"change by sharing in\n{text}"
    elif plot.compare == BEST:
        what = f"{text},\ndifference to the best"
    else:
        what = f"{text},\ndifference to {plot.compare}"
    return f"{what} (%)" if plot.relative else what
