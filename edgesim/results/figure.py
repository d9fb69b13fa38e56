"""A figure: compute a sweep, and write its data and picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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
from edgesim.files import is_file, keep_inputs
from edgesim.plotting.style import Drawing
from edgesim.plotting.sweep import SERVED_LABEL, SweepPoint, plot_panels, plot_sweep
from edgesim.results.pictures import (
    PictureError,
    known_formats,
    picture_files,
    write_pictures,
)
from edgesim.results.rows import write_csv
from edgesim.shipped import locate

ON_TIME_LABEL = "share of requests in time"


def run_figure(
    path_or_name: str | Path,
    *,
    jobs: int = 1,
    own_code: bool = False,
    formats: Iterable[str] = ("png",),
    done: Callable[[int, int], None] | None = None,
) -> tuple[Path, ...]:
    """Compute a figure and write its data and then its picture beside its file.

    Those of a shipped figure that is asked for by name go into the current folder.

    In a repeat, places, channels and windows of every value are drawn from common
    random numbers, so solvers and values differ in nothing else, unless the parameter
    changes the library that requests are mapped to. The rows are the same for any
    ``jobs``.

    Parameters
    ----------
    path_or_name
        A figure file, ``NAME.toml``, or the name of one that edgesim ships.
    jobs
        Number of concurrent processes.
    own_code
        Whether solvers and policies of the user's own may run that the figure's files
        name.
    formats
        Formats of the picture: ``png``, ``pdf``, ``svg``.
    done
        Called with the number of tasks done and the total.

    Returns
    -------
    data, *pictures
        ``NAME.csv``, and ``NAME.png`` or what else is asked for.

    Raises
    ------
    PictureError
        When the picture cannot be drawn: then ``NAME.csv`` is written.
    InputError
        For any error in the figure or its scenario, and if a user's own solver or
        policy fails; then nothing is written.
    """
    if jobs < 1:
        raise InputError(Parameter("jobs"), f"must be 1 or more, found {jobs}")
    path = locate("figure", path_or_name)
    if path.suffix != ".toml":
        raise InputError(path, "a figure's name must end in .toml")
    formats = known_formats(formats)
    figure = read_figure(path)
    place = path if is_file(Path(path_or_name)) else Path(path.name)
    data = place.with_suffix(".csv")
    pictures = [place.with_name(file) for file in picture_files([path.stem], formats)]
    tasks, read = tasks_of(path, figure, own_code=own_code)
    for file in (data, *pictures):
        keep_inputs(file, *read)
    rows: list[dict[str, Any]] = []
    for number, found in enumerate(computed(tasks, jobs)):
        rows += found
        if done is not None:
            done(number + 1, len(tasks))
    write_csv(data, rows, _columns(figure, tasks))
    drawing = {path.stem: lambda: _draw(figure, rows, online=tasks[0].online)}
    failed = write_pictures(place.parent, drawing, formats)
    if failed is not None:
        raise PictureError(
            failed.where, f"{failed.what}; its data are in {data}"
        ) from (failed.__cause__)
    return data, *pictures


def _columns(figure: Figure, tasks: Sequence[Task]) -> tuple[str, ...]:
    columns = ONLINE_COLUMNS if tasks[0].online else PLAN_COLUMNS
    return ("panel", *columns) if figure.panel else columns


def _draw(
    figure: Figure, rows: Sequence[Mapping[str, Any]], *, online: bool
) -> Drawing:
    """Draw requests in time, or online the share of them, on axes for each panel.

    A share of no requests at all is no point.
    """
    panels: dict[str, list[SweepPoint]] = {}
    for row in rows:
        points = panels.setdefault(row.get("panel", ""), [])
        if online and row["on_time_ratio"] is None:
            continue
        value = row["value"]
        point = SweepPoint(
            value if isinstance(value, str) else value / figure.plot.unit,
            row["policy"] if online else row["solver"],
            row["on_time_ratio"] if online else row["in_time"],
        )
        points.append(point)
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
