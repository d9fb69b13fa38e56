"""A figure: one parameter swept, several solvers, common random numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from edgesim import plots, results
from edgesim.errors import InputError
from edgesim.files import check_file, read_toml
from edgesim.run import load_inputs, run_repeat
from edgesim.scenario import beside
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

    name: Name
    about: str = ""
    scenario: Name
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
        if self.plot.unit != 1.0 and any(isinstance(v, str) for v in values):
            raise ValueError("plot.unit needs sweep.values to be numbers")
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


def tasks_of(path: Path, figure: Figure) -> list[Task]:
    """List what a figure computes, checking every scenario it leads to.

    Raises
    ------
    InputError
        When a value does not make a valid scenario.
    """
    scenario_file = beside(path, figure.scenario, "traces")
    tasks = []
    for value in figure.sweep.values:
        overrides = {**figure.set, figure.sweep.parameter: value}
        inputs = load_inputs(scenario_file, overrides=overrides)
        tasks += [
            Task(scenario_file, overrides, value, repeat)
            for repeat in range(inputs.scenario.run.repeats)
        ]
    return tasks


def compute(task: Task) -> list[dict[str, Any]]:
    """Compute the rows of one task, one a solver."""
    inputs = load_inputs(task.scenario_file, overrides=task.overrides)
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

    Every value sees the same requests, places and channels in a repeat, so solvers and
    values differ by nothing but themselves. The rows are the same for any ``jobs``.

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
    figure = read_figure(path)
    if jobs < 1:
        raise InputError("--jobs", f"must be 1 or more, found {jobs}")
    tasks = tasks_of(path, figure)
    rows: list[dict[str, Any]] = []
    for number, found in enumerate(_computed(tasks, jobs)):
        rows += found
        if done is not None:
            done(number + 1, len(tasks))
    data, picture = path.with_suffix(".csv"), path.with_suffix(".png")
    results.write_csv(data, rows, COLUMNS)
    _draw(figure, rows, picture)
    return data, picture


def _computed(tasks: Sequence[Task], jobs: int) -> Iterator[list[dict[str, Any]]]:
    """Compute tasks in order, on one process or several."""
    if jobs == 1:
        yield from map(compute, tasks)
        return
    # Spawned rather than forked: the engine of ilp keeps threads.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(compute, tasks)


def _draw(figure: Figure, rows: Sequence[Mapping[str, Any]], picture: Path) -> None:
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
    ax = plots.plot_sweep(
        points, figure.plot.x_label, log_x=figure.plot.x_scale == "log"
    )
    plots.save(ax, picture)
