"""A figure: one parameter swept, several solvers, common random numbers."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any, Literal

from matplotlib.axes import Axes
from pydantic import Field, model_validator

from edgesim import plots, results
from edgesim.errors import InputError
from edgesim.files import check_file, keep_inputs, read_toml, write_whole
from edgesim.run import Inputs, load_inputs, run_repeat
from edgesim.scenario import FileName, beside, read_scenario
from solvers.problem import Name, Positive, Value

FIGURE = "edgesim.figure/1"
COLUMNS = (
    "value",
    "repeat",
    "solver",
    "uplink",
    "requests",
    "in_time",
    "served",
    "bound",
    "gap",
    "status",
    "load_s",
    "compute_s",
    "bytes_loaded",
    "bytes_saved",
)


class Sweep(Value):
    """``[sweep]``: the parameter, by its key path in the scenario, and its values."""

    parameter: Name
    values: Annotated[tuple[float | int | str, ...], Field(min_length=1, strict=False)]


class PlotSpec(Value):
    """``[plot]``: the label of the swept axis; values are divided by ``unit``."""

    x_label: Name
    unit: Positive = 1.0
    x_scale: Literal["linear", "log"] = "linear"


class Figure(Value):
    """A figure file: a scenario, what is swept, and what else differs from it.

    ``set`` replaces values of the scenario for the whole figure, by key path.
    """

    title: str
    scenario: FileName
    sweep: Sweep
    set: Mapping[str, Any] = Field(default_factory=dict)
    plot: PlotSpec

    @model_validator(mode="after")
    def _check(self) -> Figure:
        values = self.sweep.values
        if len(set(values)) < len(values):
            raise ValueError(f"sweep.values must be distinct, found {list(values)}")
        if self.sweep.parameter in self.set:
            raise ValueError(
                f"set must not fix the swept parameter {self.sweep.parameter!r}"
            )
        words = any(isinstance(v, str) for v in values)
        if self.plot.unit != 1.0 and words:
            raise ValueError("plot.unit needs sweep.values to be numbers")
        if self.plot.x_scale == "log" and (
            words or any(not isinstance(v, str) and v <= 0 for v in values)
        ):
            raise ValueError("plot.x_scale 'log' needs sweep.values above 0")
        return self


@dataclass(frozen=True)
class Task:
    """One value of the parameter in one repeat: what a worker is sent."""

    scenario_file: Path
    overrides: Mapping[str, Any]
    value: float | int | str
    repeat: int


def read_figure(path: Path) -> Figure:
    """Read and check a figure file.

    Raises
    ------
    InputError
        Naming the file, the key, what was found and what is allowed.
    """
    return check_file(path, read_toml(path), Figure, FIGURE)


def tasks_of(path: Path, figure: Figure) -> tuple[list[Task], list[Path]]:
    """List what a figure computes and reads, checking every scenario it leads to.

    Raises
    ------
    InputError
        When a value does not make a valid scenario.
    """
    scenario_file = beside(path, figure.scenario, "traces")
    read_scenario(scenario_file)
    tasks, read = [], [path]
    for value in figure.sweep.values:
        overrides = {**figure.set, figure.sweep.parameter: value}
        try:
            inputs = load_inputs(scenario_file, overrides=overrides)
        except InputError as error:
            what = f"{figure.sweep.parameter} = {value!r}: {error}"
            raise InputError(f"{path}: sweep or set", what) from None
        read += [source.path for source in inputs.sources.values()]
        tasks += [
            Task(scenario_file, overrides, value, repeat)
            for repeat in range(inputs.scenario.run.repeats)
        ]
    return tasks, read


@lru_cache(maxsize=1)
def _inputs(scenario_file: Path, overrides: str) -> Inputs:
    """Read the inputs of a value (its overrides as JSON) once for all its repeats."""
    return load_inputs(scenario_file, overrides=json.loads(overrides))


def compute(task: Task) -> list[dict[str, Any]]:
    """Compute the rows of one task, one a solver."""
    inputs = _inputs(task.scenario_file, json.dumps(task.overrides))
    return [
        {
            "value": task.value,
            "repeat": task.repeat,
            "solver": one.solver,
            "uplink": inputs.scenario.run.uplink,
            "requests": one.measures.requests,
            "in_time": one.measures.in_time,
            "served": one.result.served,
            "bound": one.result.bound,
            "gap": one.result.gap,
            "status": one.result.status,
            "load_s": one.measures.load_s,
            "compute_s": one.measures.compute_s,
            "bytes_loaded": one.measures.bytes_loaded,
            "bytes_saved": one.measures.bytes_saved,
        }
        for one in run_repeat(inputs, task.repeat)
    ]


def run_figure(
    path: Path, *, jobs: int = 1, done: Callable[[int, int], None] | None = None
) -> tuple[Path, Path]:
    """Compute a figure and write its data and picture beside its file.

    In a repeat every value draws places, channels and windows from the same numbers, so
    solvers and values differ by nothing but themselves, unless the parameter changes
    the library that requests are mapped to. The rows are the same for any ``jobs``.

    Parameters
    ----------
    path
        A figure file, ``NAME.toml``.
    jobs
        How many processes work at once.
    done
        Called with how many tasks are done and how many there are.

    Returns
    -------
    data, picture
        ``NAME.csv`` and ``NAME.png``.

    Raises
    ------
    InputError
        For whatever is wrong with the figure or its scenario.
    """
    if jobs < 1:
        raise InputError("--jobs", f"must be 1 or more, found {jobs}")
    if path.suffix != ".toml":
        raise InputError(path, "a figure's name must end in .toml")
    figure = read_figure(path)
    data, picture = path.with_suffix(".csv"), path.with_suffix(".png")
    tasks, read = tasks_of(path, figure)
    keep_inputs(data, *read)
    keep_inputs(picture, *read)
    rows: list[dict[str, Any]] = []
    for number, found in enumerate(_computed(tasks, jobs)):
        rows += found
        if done is not None:
            done(number + 1, len(tasks))
    drawing = _draw(figure, rows)
    with write_whole(data) as text, write_whole(picture, "wb") as image:
        results.dump_csv(text, rows, COLUMNS)
        plots.dump(drawing, image)
    return data, picture


def _computed(tasks: Sequence[Task], jobs: int) -> Iterator[list[dict[str, Any]]]:
    """Compute tasks in order, on one process or several."""
    if jobs == 1:
        yield from map(compute, tasks)
        return
    # Spawned rather than forked: the engine of ilp keeps threads. An interrupt is for
    # the parent alone, which then ends the others.
    with ProcessPoolExecutor(
        min(jobs, len(tasks)),
        mp_context=get_context("spawn"),
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_IGN),
    ) as pool:
        try:
            yield from pool.map(compute, tasks)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _draw(figure: Figure, rows: Sequence[Mapping[str, Any]]) -> Axes:
    points = [
        plots.SweepPoint(
            row["value"]
            if isinstance(row["value"], str)
            else row["value"] / figure.plot.unit,
            row["solver"],
            row["in_time"],
        )
        for row in rows
    ]
    return plots.plot_sweep(
        points,
        figure.plot.x_label,
        log_x=figure.plot.x_scale == "log",
        title=figure.title,
    )
