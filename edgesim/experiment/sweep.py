"""A sweep: one parameter, several solvers or policies, common random numbers."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from edgesim.errors import InputError, Parameter
from edgesim.experiment.consent import check_consent
from edgesim.experiment.figure import Figure
from edgesim.experiment.inputs import Inputs, load_inputs, open_inputs
from edgesim.experiment.run import check_runs, run_repeat
from edgesim.experiment.trial import Trial
from edgesim.measures.measure import measure_span
from edgesim.plugins import ConsentError
from edgesim.scenario import read_scenario
from edgesim.shipped import locate

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


@dataclass(frozen=True)
class Task:
    """One value of the parameter in one repeat: the unit of work of a process.

    ``keys`` are the leading columns of its rows: the panel, if there are any, the value
    and the repeat. ``place`` names them all for messages. ``own_code``: whether the
    user consents to code that the files name.
    """

    scenario_file: Path
    overrides: Mapping[str, Any]
    keys: Mapping[str, str | int | float]
    repeat: int
    online: bool
    place: str
    own_code: bool


def tasks_of(
    path: Path, figure: Figure, *, own_code: bool = False
) -> tuple[list[Task], list[Path]]:
    """List the tasks and input files of a figure, checking each resulting scenario.

    No solver starts before every value is one that all of them take.

    Raises
    ------
    ConsentError
        If it refers to user code and ``own_code`` is false.
    InputError
        When a value does not make a valid scenario, or a solver refuses it.
    """
    scenario_file = locate(
        "scenario", figure.scenario, beside=path, where=f"{path}: scenario"
    )
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
            check_consent(path, scenario, own_code=own_code, from_files=True)
            online = scenario.online is not None
            with open_inputs(
                scenario_file, overrides=overrides, own_code=own_code
            ) as inputs:
                check_runs(inputs)
                sources = inputs.sources
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


@lru_cache(maxsize=1)
def _plan_inputs(scenario_file: Path, overrides: str, own_code: bool) -> Inputs:
    """Read the inputs of a value (its overrides as JSON) once for all its repeats."""
    return load_inputs(
        scenario_file, overrides=json.loads(overrides), own_code=own_code
    )


def compute(task: Task) -> list[dict[str, Any]]:
    """Compute the rows of one task, one per solver or policy.

    Raises
    ------
    InputError
        If a solver or policy fails, naming it, the value and the repeat.
    """
    try:
        return _rows(task)
    except InputError as error:
        raise InputError(error.where, f"{task.place}: {error.what}") from error


def _rows(task: Task) -> list[dict[str, Any]]:
    if task.online:
        with open_inputs(
            task.scenario_file, overrides=task.overrides, own_code=task.own_code
        ) as inputs:
            trials = run_repeat(inputs, task.repeat)
            return [{**task.keys, **_online_row(inputs, trial)} for trial in trials]
    inputs = _plan_inputs(task.scenario_file, json.dumps(task.overrides), task.own_code)
    trials = run_repeat(inputs, task.repeat)
    return [{**task.keys, **_plan_row(inputs, trial)} for trial in trials]


def _plan_row(inputs: Inputs, trial: Trial) -> dict[str, Any]:
    """Make the row of one solver in one repeat."""
    result, measures = trial.result, trial.measures
    assert result is not None
    return {
        "solver": trial.name,
        "uplink": inputs.scenario.run.uplink,
        "requests": measures.requests,
        "in_time": measures.in_time,
        "served": result.served,
        "bound": result.bound,
        "gap": result.gap,
        "status": result.status,
        "load_s": measures.load_s,
        "compute_s": measures.compute_s,
        "bytes_loaded": measures.bytes_loaded,
        "bytes_saved": measures.bytes_saved,
    }


def _online_row(inputs: Inputs, trial: Trial) -> dict[str, Any]:
    """Make the row of one policy in one repeat, measured after the warm-up."""
    measures = measure_span(trial.account, inputs.online.warmup_s, trial.duration_s)
    values = {name: getattr(measures, name) for name in ONLINE_COLUMNS[4:]}
    return {"policy": trial.name, "uplink": inputs.online.uplink, **values}


def computed(tasks: Sequence[Task], jobs: int) -> Iterator[list[dict[str, Any]]]:
    """Compute tasks in order, in one process or several."""
    if jobs == 1:
        yield from map(compute, tasks)
        return
    # Spawned rather than forked: the engine of ilp keeps threads. Only the parent
    # handles an interrupt, and then ends the workers.
    with ProcessPoolExecutor(
        min(jobs, len(tasks)),
        mp_context=get_context("spawn"),
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_IGN),
    ) as pool:
        try:
            yield from pool.map(compute, tasks)
        except BrokenProcessPool as error:
            raise InputError(
                Parameter("jobs"),
                f"one of the {jobs} processes ended before its work was done: it was "
                f"killed, for want of memory perhaps, or code of your own ended it",
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
