"""A figure: one parameter swept, several solvers, common random numbers."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from pydantic import Field, model_validator

from edgesim import results
from edgesim.consent import check_consent
from edgesim.errors import InputError
from edgesim.files import check_file, keep_inputs, read_toml, write_whole
from edgesim.online.measures import measure as measure_online
from edgesim.online.run import OnlineInputs, PolicyRun, load_online
from edgesim.online.run import run_repeat as online_repeat
from edgesim.plotting.style import dump
from edgesim.plotting.sweep import SERVED_LABEL, SweepPoint, plot_panels, plot_sweep
from edgesim.plugins import ConsentError
from edgesim.run import Inputs, load_inputs, run_repeat
from edgesim.scenario import FileName, beside, read_scenario
from solvers.problem import Name, Positive, Value

FIGURE = "edgesim.figure/1"
ON_TIME_LABEL = "share of requests in time"
PLAN_COLUMNS = (
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
ONLINE_COLUMNS = (
    "value",
    "repeat",
    "policy",
    "uplink",
    "requests",
    "in_time",
    "late",
    "dropped",
    "on_time_ratio",
    "latency_p50_s",
    "latency_p95_s",
    "mean_batch",
    "load_s",
    "compute_s",
    "wait_s",
    "idle_s",
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


class Panel(Value):
    """``[[panel]]``: axes of their own, with what differs there by key path."""

    title: Name
    set: Mapping[str, Any] = Field(default_factory=dict)


class Figure(Value):
    """A figure file: a scenario, what is swept, and what else differs from it.

    ``set`` replaces values of the scenario for the whole figure, by key path; each
    panel, if there are any, for itself. Plans show requests in time, online runs the
    share of them.
    """

    title: str
    scenario: FileName
    sweep: Sweep
    set: Mapping[str, Any] = Field(default_factory=dict)
    panel: Annotated[tuple[Panel, ...], Field(strict=False)] = ()
    plot: PlotSpec

    @model_validator(mode="after")
    def _check(self) -> Figure:
        values = self.sweep.values
        if len(set(values)) < len(values):
            raise ValueError(f"sweep.values must be distinct, found {list(values)}")
        for fixed in (self.set, *(panel.set for panel in self.panel)):
            if self.sweep.parameter in fixed:
                raise ValueError(
                    f"set must not fix the swept parameter {self.sweep.parameter!r}"
                )
        titles = [panel.title for panel in self.panel]
        if len(set(titles)) < len(titles):
            raise ValueError(f"panel titles must be distinct, found {titles}")
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
    """One value of the parameter in one repeat: what a worker is sent.

    ``keys`` are the leading columns of its rows: the panel, if there are any, the value
    and the repeat. ``place`` names all that for messages. ``own_code``: whether the
    user consents to code that the files name.
    """

    scenario_file: Path
    overrides: Mapping[str, Any]
    keys: Mapping[str, results.Cell]
    repeat: int
    online: bool
    place: str
    own_code: bool


def read_figure(path: Path) -> Figure:
    """Read and check a figure file.

    Raises
    ------
    InputError
        Naming the file, the key, what was found and what is allowed.
    """
    return check_file(path, read_toml(path), Figure, FIGURE)


def tasks_of(
    path: Path, figure: Figure, *, own_code: bool = False
) -> tuple[list[Task], list[Path]]:
    """List what a figure computes and reads, checking every scenario it leads to.

    Raises
    ------
    ConsentError
        When it leads to code of the user's own and ``own_code`` is false.
    InputError
        When a value does not make a valid scenario.
    """
    scenario_file = beside(path, figure.scenario, "traces")
    read_scenario(scenario_file)
    tasks, read = [], [path]
    for panel, value in product(figure.panel or (None,), figure.sweep.values):
        overrides = {
            **figure.set,
            **(panel.set if panel else {}),
            figure.sweep.parameter: value,
        }
        keys = {"panel": panel.title, "value": value} if panel else {"value": value}
        place = f"{panel.title}, " if panel else ""
        place += f"{figure.sweep.parameter} = {value!r}"
        try:
            scenario = read_scenario(scenario_file, overrides)
            check_consent(path, scenario, own_code=own_code)
            online = scenario.online is not None
            if online:
                with online_inputs(scenario_file, overrides, own_code) as inputs:
                    sources = inputs.sources
            else:
                sources = load_inputs(
                    scenario_file, overrides=overrides, own_code=own_code
                ).sources
        except ConsentError:
            raise
        except InputError as error:
            what = f"{place}: {error}"
            raise InputError(f"{path}: sweep, set or panel", what) from error
        read += [source.path for source in sources.values()]
        tasks += [
            Task(
                scenario_file,
                overrides,
                {**keys, "repeat": repeat},
                repeat,
                online,
                f"{place}, repeat {repeat}",
                own_code,
            )
            for repeat in range(scenario.run.repeats)
        ]
    return tasks, read


@contextmanager
def online_inputs(
    scenario_file: Path, overrides: Mapping[str, Any], own_code: bool
) -> Iterator[OnlineInputs]:
    """Read the inputs of an online run, for as long as the block lasts."""
    with TemporaryDirectory(prefix="edgesim-") as folder:
        yield load_online(
            scenario_file, Path(folder), overrides=overrides, own_code=own_code
        )


@lru_cache(maxsize=1)
def _inputs(scenario_file: Path, overrides: str, own_code: bool) -> Inputs:
    """Read the inputs of a value (its overrides as JSON) once for all its repeats."""
    return load_inputs(
        scenario_file, overrides=json.loads(overrides), own_code=own_code
    )


def compute(task: Task) -> list[dict[str, Any]]:
    """Compute the rows of one task, one a solver or policy.

    Raises
    ------
    InputError
        When a solver or policy fails, naming value, repeat, and which it was.
    """
    try:
        return _rows(task)
    except InputError as error:
        raise InputError(error.where, f"{task.place}: {error.what}") from error


def _rows(task: Task) -> list[dict[str, Any]]:
    if task.online:
        with online_inputs(task.scenario_file, task.overrides, task.own_code) as served:
            return [
                {**task.keys, **_online_row(served, one)}
                for one in online_repeat(served, task.repeat)
            ]
    inputs = _inputs(task.scenario_file, json.dumps(task.overrides), task.own_code)
    return [
        {
            **task.keys,
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


def _online_row(inputs: OnlineInputs, one: PolicyRun) -> dict[str, Any]:
    """One policy in one repeat, measured from the end of the warm-up on."""
    measures = measure_online(
        one.run, one.tables, inputs.online.warmup_s, one.stream.duration_s
    )
    taken = {name: getattr(measures, name) for name in ONLINE_COLUMNS[4:]}
    return {"policy": one.policy, "uplink": inputs.online.uplink, **taken}


def run_figure(
    path: Path,
    *,
    jobs: int = 1,
    own_code: bool = False,
    done: Callable[[int, int], None] | None = None,
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
    own_code
        Whether solvers and policies of the user's own may run that the figure's files
        name.
    done
        Called with how many tasks are done and how many there are.

    Returns
    -------
    data, picture
        ``NAME.csv`` and ``NAME.png``.

    Raises
    ------
    InputError
        For whatever is wrong with the figure or its scenario, and when a solver or
        policy of the user's own fails: then nothing is written.
    """
    if jobs < 1:
        raise InputError("--jobs", f"must be 1 or more, found {jobs}")
    if path.suffix != ".toml":
        raise InputError(path, "a figure's name must end in .toml")
    figure = read_figure(path)
    data, picture = path.with_suffix(".csv"), path.with_suffix(".png")
    tasks, read = tasks_of(path, figure, own_code=own_code)
    keep_inputs(data, *read)
    keep_inputs(picture, *read)
    rows: list[dict[str, Any]] = []
    for number, found in enumerate(_computed(tasks, jobs)):
        rows += found
        if done is not None:
            done(number + 1, len(tasks))
    drawing = _draw(figure, rows, online=tasks[0].online)
    with write_whole(data) as text, write_whole(picture, "wb") as image:
        results.dump_csv(text, rows, _columns(figure, tasks))
        dump(drawing, image)
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


def _columns(figure: Figure, tasks: Sequence[Task]) -> tuple[str, ...]:
    columns = ONLINE_COLUMNS if tasks[0].online else PLAN_COLUMNS
    return ("panel", *columns) if figure.panel else columns


def _draw(
    figure: Figure, rows: Sequence[Mapping[str, Any]], *, online: bool
) -> Drawing | Axes:
    """Draw requests in time, or online the share of them, on axes for each panel."""
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
