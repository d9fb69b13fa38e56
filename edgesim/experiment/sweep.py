"""A sweep: parameters, several solvers or policies, common random numbers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from edgesim.errors import InputError
from edgesim.experiment.consent import check_consent
from edgesim.experiment.doubts import Said, doubts, once_each
from edgesim.experiment.figure import Case, Figure, Panel, place_of
from edgesim.experiment.identity import identity
from edgesim.experiment.inputs import Inputs, load_inputs
from edgesim.experiment.point import Place, Point, compute
from edgesim.experiment.run import check_runs
from edgesim.experiment.store import Outcome, Store
from edgesim.names import plain
from edgesim.own_sources import forget_changed_code
from edgesim.plugins import ConsentError
from edgesim.scenario import Scenario, read_scenario
from edgesim.scenario.key_path import parts_of
from edgesim.scenario.parameters import expand
from solvers.registry import ALGORITHMS, OWN


class Setting(NamedTuple):
    """One place of a figure's grid: a panel or second value, and a value.

    Parameters
    ----------
    place
        The leading columns of its rows.
    where
        The same for messages.
    overrides
        The values that replace those of the scenario, by key path.
    """

    place: Place
    where: str
    overrides: Mapping[str, Any]


class Points(NamedTuple):
    """The points of a figure, in the order of its rows.

    Parameters
    ----------
    points
        The points.
    online
        Whether requests are served as they arrive.
    files
        The files read.
    models
        The models of all libraries.
    doubts
        What looks as if something else were meant.
    assumed
        Settings that no file states, a line each, for people.
    """

    points: tuple[Point, ...]
    online: bool
    files: tuple[Path, ...]
    models: tuple[str, ...]
    doubts: tuple[Said, ...]
    assumed: tuple[str, ...]


def points_of(
    where: Path,
    figure: Figure,
    scenario_file: Path,
    *,
    own_code: bool = False,
    from_files: bool = True,
    typed: Collection[str] = (),
    store: Store | None = None,
) -> Points:
    """List the points of a figure, with every scenario and solver checked.

    No solver starts before every value is one that all of them take; what is stored
    has been checked before.

    Parameters
    ----------
    where
        The figure's file, for messages.
    figure, scenario_file
        The figure, and its scenario.
    own_code
        Whether solvers and policies of the user's own may run that files name.
    from_files, typed
        Whether the figure is from a file, and the solvers and policies that the user
        typed nevertheless.
    store
        Points that need no check.

    Raises
    ------
    ConsentError
        If it refers to user code and ``own_code`` is false.
    InputError
        When a value does not make a valid scenario, or a solver refuses it.
    """
    read_scenario(scenario_file)
    forget_changed_code()
    points: list[Point] = []
    files = [where]
    models: dict[str, None] = {}
    doubtful: list[tuple[str, str]] = []
    assumed: list[tuple[str, tuple[str, ...]]] = []
    online = False
    for setting in settings_of(where, figure, scenario_file):
        with _naming(where, setting.where):
            scenario = read_scenario(scenario_file, setting.overrides)
            check_consent(
                where,
                scenario,
                own_code=own_code,
                from_files=from_files,
                typed=typed,
            )
            inputs = load_inputs(
                scenario_file, overrides=setting.overrides, own_code=True
            )
            found = list(_points_at(setting, scenario_file, inputs))
            if store is None or any(point.key not in store for point in found):
                check_runs(inputs)
        points += found
        files += [source.path for source in inputs.sources.values()]
        models |= dict.fromkeys(inputs.library.models)
        doubtful += [(setting.where, text) for text in doubts(inputs)]
        assumed.append((setting.where, inputs.assumed))
        online = inputs.scenario.online is not None
    return Points(
        tuple(points),
        online,
        tuple(dict.fromkeys(files)),
        tuple(models),
        tuple(once_each(doubtful)),
        tuple(_assumed(assumed)),
    )


def _assumed(found: Sequence[tuple[str, tuple[str, ...]]]) -> Iterator[str]:
    """Say what is assumed at every value, and what at one where values differ."""
    lines = [lines for _, lines in found]
    common = {line for line in lines[0] if all(line in of for of in lines)}
    said = ((where, line) for where, of in found for line in of if line not in common)
    yield from (line for line in lines[0] if line in common)
    yield from map(str, once_each(said))


def settings_of(where: Path, figure: Figure, scenario_file: Path) -> Iterator[Setting]:
    """Go through the grid of a figure: panels or second values, and values of each."""
    for outer, inner in product(_outer(figure), _inner(figure)):
        fixed = _over(figure.set, outer.set, inner.set)
        place = {**outer.place, **inner.place}
        said = ", ".join(filter(None, (outer.said, inner.said)))
        swept: dict[str, Any] = {}
        with _naming(where, said):
            for parameter, value in (outer.swept, inner.swept):
                if parameter is None:
                    continue
                scenario = read_scenario(scenario_file, {**fixed, **swept})
                given = expand(scenario, parameter, value)
                _check_apart(parameter, given, {**fixed, **swept})
                swept |= given
        yield Setting(place, said, {**fixed, **swept})


def _over(*sets: Mapping[str, Any]) -> dict[str, Any]:
    """Put values over others, which are replaced in order: a table may hold a key."""
    found: dict[str, Any] = {}
    for one in sets:
        found = {key: value for key, value in found.items() if key not in one}
        found |= one
    return found


class _Step(NamedTuple):
    """One step along one side of the grid."""

    place: Place
    said: str
    set: Mapping[str, Any]
    swept: tuple[str | None, Any]


def _outer(figure: Figure) -> list[_Step]:
    if figure.second is not None:
        return [
            _Step(
                {"second": place_of(value)},
                f"{figure.second.parameter} = {value!r}",
                {},
                (figure.second.parameter, value),
            )
            for value in figure.second.values
        ]
    panels: Sequence[Panel | None] = figure.panel or (None,)
    return [
        _Step({}, "", {}, (None, None))
        if panel is None
        else _Step({"panel": panel.title}, panel.title, panel.set, (None, None))
        for panel in panels
    ]


def _inner(figure: Figure) -> list[_Step]:
    sweep = figure.sweep
    cases: Sequence[Case] = sweep.cases
    if cases:
        return [
            _Step({"value": case.title}, case.title, case.set, (None, None))
            for case in cases
        ]
    return [
        _Step(
            {"value": place_of(value)},
            f"{sweep.parameter} = {value!r}",
            {},
            (sweep.parameter, value),
        )
        for value in sweep.values or ()
    ]


@contextmanager
def _naming(where: Path, said: str) -> Iterator[None]:
    """Put the figure and the place in its grid before what is wrong there."""
    try:
        yield
    except ConsentError:
        raise
    except InputError as error:
        raise InputError(f"{where}: sweep, set or panel", f"{said}: {error}") from error


def _check_apart(
    parameter: str, swept: Mapping[str, Any], fixed: Mapping[str, Any]
) -> None:
    """Refuse to sweep what is set too."""
    for key in swept:
        for other in fixed:
            if parts_of(key) == parts_of(other):
                raise InputError(
                    parameter, f"sets {key}, which is set too; give one of them"
                )


def _points_at(
    setting: Setting, scenario_file: Path, inputs: Inputs
) -> Iterator[Point]:
    """List the points of one value: every repeat under every solver or policy."""
    scenario = inputs.scenario
    online = scenario.online
    names = scenario.run.solvers if online is None else online.policies
    folder = Path.cwd()
    for repeat, name in product(range(scenario.run.repeats), names):
        yield Point(
            scenario_file=scenario_file,
            overrides=setting.overrides,
            place=setting.place,
            repeat=repeat,
            name=name,
            online=online is not None,
            uplink=scenario.run.uplink if online is None else online.uplink,
            where=f"{setting.where}, repeat {repeat}",
            own_code=True,
            folder=folder,
            identity=identity(inputs, name, repeat),
            time_limit_s=_time_limit_s(scenario, name),
        )


def _time_limit_s(scenario: Scenario, name: str) -> float | None:
    """Return the time limit that a solver's results depend on, if any."""
    if scenario.online is None:
        searches = ALGORITHMS.get(name, OWN).searches
        return scenario.run.time_limit_s if searches else None
    if plain(name) != "rolling":
        return None
    limit_s: float | None = scenario.online.options(name).get("time_limit_s")
    return limit_s


def run_points(
    points: Sequence[Point],
    store: Store | None = None,
    executor: Executor | None = None,
    done: Callable[[int, int], None] | None = None,
) -> dict[str, Outcome]:
    """Compute the points that are not stored, and store each as it ends.

    Parameters
    ----------
    points
        The points; one that is there twice is computed once.
    store
        Where outcomes are taken from and kept; None to keep them in memory.
    executor
        Where they are computed; None for this process, in order.
    done
        Called with the number of points done, and the number of all.

    Returns
    -------
    dict
        Outcomes by the key of the point.

    Raises
    ------
    InputError
        If a solver or policy fails. What was computed before is stored.
    """
    by_key = {point.key: point for point in points}
    found: dict[str, Outcome] = {}
    for key in by_key:
        outcome = None if store is None else store.get(key)
        if outcome is not None:
            found[key] = outcome
    missing = [point for key, point in by_key.items() if key not in found]
    if done is not None:
        done(len(found), len(by_key))
    if store is not None and missing:
        store.open()
    for point, outcome in _computed(missing, executor):
        if store is not None:
            outcome = store.add(point.key, outcome)
        found[point.key] = outcome
        if done is not None:
            done(len(found), len(by_key))
    return found


def _computed(
    points: Sequence[Point], executor: Executor | None
) -> Iterator[tuple[Point, Outcome]]:
    """Compute points, and yield each as it ends."""
    if executor is None:
        for point in points:
            yield point, compute(point)
        return
    futures = {executor.submit(compute, point): point for point in points}
    for future in as_completed(futures):
        yield futures.pop(future), future.result()
