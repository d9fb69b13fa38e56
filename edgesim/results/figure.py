"""A figure: compute a sweep, and write its data and picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgesim.errors import InputError, Parameter
from edgesim.experiment.figure import Figure, read_figure
from edgesim.experiment.sweep import (
    ONLINE_COLUMNS,
    PLAN_COLUMNS,
    Task,
    computed,
    tasks_of,
)
from edgesim.files import keep_inputs, write_whole
from edgesim.plotting.style import Drawing, dump
from edgesim.plotting.sweep import SERVED_LABEL, SweepPoint, plot_panels, plot_sweep
from edgesim.results.rows import dump_csv

ON_TIME_LABEL = "share of requests in time"


def run_figure(
    path: Path,
    *,
    jobs: int = 1,
    own_code: bool = False,
    done: Callable[[int, int], None] | None = None,
) -> tuple[Path, Path]:
    """Compute a figure and write its data and picture beside its file.

    In a repeat, places, channels and windows of every value are drawn from common
    random numbers, so solvers and values differ in nothing else, unless the parameter
    changes the library that requests are mapped to. The rows are the same for any
    ``jobs``.

    Parameters
    ----------
    path
        A figure file, ``NAME.toml``.
    jobs
        Number of concurrent processes.
    own_code
        Whether the user's own solvers and policies named in the figure's files may run.
    done
        Called with the number of tasks done and the total.

    Returns
    -------
    data, picture
        ``NAME.csv`` and ``NAME.png``.

    Raises
    ------
    InputError
        For any error in the figure or its scenario, and if a user's own solver or
        policy fails; then nothing is written.
    """
    if jobs < 1:
        raise InputError(Parameter("jobs"), f"must be 1 or more, found {jobs}")
    if path.suffix != ".toml":
        raise InputError(path, "a figure's name must end in .toml")
    figure = read_figure(path)
    data, picture = path.with_suffix(".csv"), path.with_suffix(".png")
    tasks, read = tasks_of(path, figure, own_code=own_code)
    keep_inputs(data, *read)
    keep_inputs(picture, *read)
    rows: list[dict[str, Any]] = []
    for number, found in enumerate(computed(tasks, jobs)):
        rows += found
        if done is not None:
            done(number + 1, len(tasks))
    drawing = _draw(figure, rows, online=tasks[0].online)
    with write_whole(data) as text, write_whole(picture, "wb") as image:
        dump_csv(text, rows, _columns(figure, tasks))
        dump(drawing, image)
    return data, picture


def _columns(figure: Figure, tasks: Sequence[Task]) -> tuple[str, ...]:
    columns = ONLINE_COLUMNS if tasks[0].online else PLAN_COLUMNS
    return ("panel", *columns) if figure.panel else columns


def _draw(
    figure: Figure, rows: Sequence[Mapping[str, Any]], *, online: bool
) -> Drawing:
    """Draw requests in time, or online the share of them, with axes per panel."""
    panels: dict[str, list[SweepPoint]] = {}
    for row in rows:
        value = row["value"]
        point = SweepPoint(
            value if isinstance(value, str) else value / figure.plot.unit,
            row["policy"] if online else row["solver"],
            row["on_time_ratio"] if online else row["in_time"],
        )
        panels.setdefault(row.get("panel", ""), []).append(point)
    label = ON_TIME_LABEL if online else SERVED_LABEL
    x_label, log_x = figure.plot.x_label, figure.plot.x_scale == "log"
    if figure.panel:
        return plot_panels(
            panels,
            x_label,
            measure_label=label,
            log_x=log_x,
            title=figure.title,
            top=1.02 if online else None,
        )
    return plot_sweep(
        panels[""], x_label, measure_label=label, log_x=log_x, title=figure.title
    )
