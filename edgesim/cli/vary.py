"""A figure from what was typed: a file with options, or a scenario with ``--vary``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesim.errors import InputError

if TYPE_CHECKING:
    from edgesim.experiment.figure import Figure
    from edgesim.results.figure import FigureSource, Shard

COMMAND_LINE = Path("--vary")
"""What stands for the file of a figure that has none."""

_SHARD = re.compile(r"([0-9]+)/([0-9]+)")
_MOST_VALUES = 1000


def shard_of(text: str) -> Shard:
    """Read ``i/n``.

    Raises
    ------
    InputError
        If it is not of that form, or i does not lie between 1 and n.
    """
    from edgesim.results.figure import Shard

    found = _SHARD.fullmatch(text.strip())
    shard = Shard(int(found[1]), int(found[2])) if found else Shard(0, 0)
    if not 1 <= shard.number <= shard.parts:
        raise InputError(
            "--shard", f"must be i/n with i from 1 to n, such as 1/4, found {text!r}"
        )
    return shard


def values_of(key: str, text: str) -> tuple[tuple[Any, ...], bool]:
    """Read ``START:STOP:COUNT`` with both ends, or ``a,b,c``.

    Returns
    -------
    values, log
        The values, and whether ``:log`` asks for a logarithmic axis.

    Raises
    ------
    InputError
        Naming the parameter, what was found and what is allowed.
    """
    from edgesim.scenario.key_path import read_value

    where = f"--vary {key}"
    if key in _SIZES:
        text = _in_bytes(where, text)
    steps = text.split(":")
    one_word = "," not in text and '"' not in text
    if one_word and (len(steps) in (3, 4) or (steps[1:] and _is_number(steps[0]))):
        return _range(where, text, steps), len(steps) == 4
    found = []
    for one in _split(text):
        try:
            found.append(read_value(one.strip()))
        except ValueError as error:
            raise InputError(where, str(error)) from None
        if not isinstance(found[-1], (bool, int, float, str)):
            raise InputError(
                where, f"must be numbers, true and false, or texts, found {one.strip()}"
            )
    if len(set(found)) < len(found):
        raise InputError(where, f"must be distinct values, found {text}")
    return tuple(found), False


_SIZES = ("memory", "gpu.memory_bytes")


def _in_bytes(where: str, text: str) -> str:
    """Write sizes with a unit, ``16GB``, as bytes, as they are typed elsewhere."""
    from edgesim.cli.options import byte_size

    return re.sub(
        r"[0-9][0-9.e+]* ?[kmgt]i?b",
        lambda size: str(byte_size(where, size[0])),
        text,
        flags=re.IGNORECASE,
    )


def _split(text: str) -> list[str]:
    """Split at commas that are not within quotes."""
    return re.sub(r'("[^"]*")|,', lambda m: m[1] or "\n", text).split("\n")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _range(where: str, text: str, steps: Sequence[str]) -> tuple[float | int, ...]:
    import numpy as np

    allowed = (
        "must be START:STOP:COUNT with two numbers and a whole number of 2 or more "
        "(:log after it for equal ratios), or KEY=a,b,c"
    )
    try:
        start, stop, count = float(steps[0]), float(steps[1]), int(steps[2])
    except (ValueError, IndexError):
        raise InputError(where, f"{allowed}; found {text!r}") from None
    log = steps[3:] == ["log"]
    finite = np.isfinite([start, stop]).all()
    if not 2 <= count <= _MOST_VALUES or not finite or (steps[3:] and not log):
        raise InputError(where, f"{allowed}, at most {_MOST_VALUES}; found {text!r}")
    if start == stop or (log and min(start, stop) <= 0):
        what = "two different numbers" + (" above 0" if log else "")
        raise InputError(where, f"must have {what} at its ends, found {text!r}")
    spread = np.geomspace if log else np.linspace
    values = spread(start, stop, count).tolist()
    values[0], values[-1] = start, stop
    whole = all(re.fullmatch(r"[+-]?[0-9_]+", step.strip()) for step in steps[:2])
    if whole and all(value == round(value) for value in values):
        return tuple(round(value) for value in values)
    return tuple(values)


def own_models(
    profile: str | None, trace: str | None, policy: str | None, others: Sequence[str]
) -> str:
    """Name the scenario that needs only a profile and a trace.

    Parameters
    ----------
    profile, trace, policy
        What these options were given.
    others
        Each ``KEY=VALUE`` of other options, of which one may give the trace.

    Raises
    ------
    InputError
        If there is no profile, or no trace.
    """
    from edgesim.experiment.defaults import OWN_MODELS, OWN_MODELS_ONLINE

    if profile is None:
        raise InputError(
            "FIGURE",
            "is needed: a figure, a scenario with --vary, or --vary with --profile and "
            "--trace",
        )
    if trace is None and not any(one.startswith("workload") for one in others):
        raise InputError(
            "--trace",
            "is needed: a trace says who asks for which model when; edgesim trace "
            "generate draws one, and campus.csv is shipped",
        )
    return OWN_MODELS if policy is None else OWN_MODELS_ONLINE


def chosen_figure(
    name: str,
    *,
    files: Mapping[str, str | None],
    vary: Sequence[str],
    solver: str | None,
    policy: str | None,
    plot: Mapping[str, Any],
    log: str | None,
    repeats: int | None,
    settings: Sequence[str],
    out: Path | None,
) -> FigureSource:
    """Make the figure that was asked for.

    Parameters
    ----------
    name
        A figure file, a shipped figure, or with ``vary`` a scenario.
    files
        A trace and a profile instead of the scenario's, by option.
    vary
        Each ``KEY=VALUES``.
    solver, policy, repeats
        Used instead of the file's.
    plot
        Values of ``[plot]`` that are not None are used instead of the file's.
    log
        ``x``, ``y`` or ``xy``.
    settings
        Each ``KEY=VALUE``.
    out
        The folder of its data.

    Raises
    ------
    InputError
        Naming the option.
    """
    from dataclasses import replace

    from edgesim.cli.options import one_of
    from edgesim.results.figure import FigureSource, default_folder
    from edgesim.scenario.file import read_scenario

    if log is not None:
        one_of("--log", log, ("x", "y", "xy"))
    if vary:
        if plot.get("kind") == "map" and len(vary) == 1:
            raise InputError("--map", "needs two parameters; give --vary twice")
        scenario_file = _scenario_file(name)
        scenario = read_scenario(scenario_file)
        swept, log_x = _swept(vary)
        title = f"{scenario.name}: {scenario.about}" if scenario.about else ""
        content: dict[str, Any] = {
            "title": title or scenario.name,
            "scenario": name,
            **swept,
        }
        if log_x and plot.get("kind") != "map":
            content["plot"] = {"x_scale": "log"}
        base = FigureSource(
            _checked(content),
            COMMAND_LINE,
            scenario_file,
            out or default_folder(scenario.name),
            scenario.name,
            from_file=False,
        )
    else:
        base = _opened(name, out)
    online = _is_online(base)
    given, typed = _set(online, solver, policy, repeats, files, settings)
    _check_apart(base.figure, given)
    axes = {f"{axis}_scale": "log" for axis in log or ""}
    chosen = {k: v for k, v in {**plot, **axes}.items() if v is not None}
    if not given and not chosen:
        return base
    content = base.figure.model_dump(exclude_unset=True)
    content["set"] = {**content.get("set", {}), **given}
    content["plot"] = {**content.get("plot", {}), **chosen}
    folder = base.folder
    if not vary:  # it is no longer the figure of its file
        folder = out or default_folder(base.stem)
    return replace(
        base, figure=_checked(content), folder=folder, typed=frozenset(typed)
    )


_SET_BY = {
    "run.solvers": "--solver",
    "online.policies": "--policy",
    "run.repeats": "--repeats",
    "workload.trace": "--trace",
    "profile": "--profile",
}
"""Options that set a value, by its key."""


def _parameters(figure: Figure) -> list[str]:
    """List the parameters that a figure varies."""
    second = None if figure.second is None else figure.second.parameter
    return [one for one in (figure.sweep.parameter, second) if one is not None]


def _check_apart(figure: Figure, given: Mapping[str, Any]) -> None:
    """Refuse options that set what is varied."""
    from edgesim.scenario.key_path import overlap
    from edgesim.scenario.parameters import NAMED

    for key in given:
        for parameter in _parameters(figure):
            if parameter not in NAMED and overlap(key, parameter):
                option = _SET_BY.get(key, f"--set {key}")
                raise InputError(
                    option, f"sets {parameter}, which is varied; give one of them"
                )


@contextmanager
def naming_options(
    source: FigureSource, settings: Sequence[str], plot: Mapping[str, Any]
) -> Iterator[None]:
    """Name the option in an error of the block that is about a value it gave.

    Parameters
    ----------
    source
        The figure that was made.
    settings
        Each ``KEY=VALUE`` of ``--set``.
    plot
        Options for ``[plot]``, by key; None if not given.
    """
    try:
        yield
    except InputError as error:
        told = _told(error, source, settings, plot)
        if told is error:
            raise
        raise told from error


def _told(
    error: InputError,
    source: FigureSource,
    settings: Sequence[str],
    plot: Mapping[str, Any],
) -> InputError:
    """Tell an error in terms of what was typed; the same one if it is a file's."""
    from edgesim.cli.settings import naming_settings

    place = error.where.removeprefix(f"{source.where}: ")
    option = place.removeprefix("plot.")
    if option != place and plot.get(option) is not None:
        return InputError(f"--{option}", error.what)
    inner = error.__cause__
    if place != "sweep, set or panel" or not isinstance(inner, InputError):
        return error
    varied = [] if source.from_file else _parameters(source.figure)
    if inner.where in varied:
        return InputError(f"--vary {inner.where}", inner.what)
    keys = [text.partition("=")[0].strip() for text in settings]
    options = {key: f"--set {key}" for key in keys}
    options |= _varied_by(source, varied)
    try:
        with naming_settings(source.scenario_file, options):
            raise inner
    except InputError as found:
        if found is not inner:
            return found
    return error if source.from_file else InputError(str(COMMAND_LINE), error.what)


def _varied_by(source: FigureSource, varied: Sequence[str]) -> dict[str, str]:
    """Map the keys that parameters set to what was typed for them."""
    from edgesim.scenario.file import read_scenario
    from edgesim.scenario.parameters import expand

    scenario = read_scenario(source.scenario_file)
    found: dict[str, str] = {}
    for parameter in varied:
        try:
            keys = expand(scenario, parameter, 1)
        except InputError:  # its values are no numbers: it says so itself
            continue
        found |= dict.fromkeys(keys, f"--vary {parameter}")
    return found


def _scenario_file(name: str) -> Path:
    """Find a scenario; say so where a figure was meant."""
    from edgesim.scenario.file import locate_scenario
    from edgesim.shipped import shipped_names

    try:
        return locate_scenario(name)
    except InputError as error:
        if name.removesuffix(".toml") in shipped_names("figure"):
            raise InputError(
                error.where,
                "is a figure, which says what it varies; --vary is for scenarios",
            ) from error
        raise


def _opened(name: str, out: Path | None) -> FigureSource:
    """Open a figure; say so where a scenario was meant."""
    from edgesim.results.figure import open_figure
    from edgesim.shipped import shipped_names

    try:
        return open_figure(name, out)
    except InputError as error:
        if name.removesuffix(".toml") in shipped_names("scenario"):
            raise InputError(
                error.where,
                "is a scenario; say what to vary in it, such as --vary users=10:80:8",
            ) from error
        raise


def _checked(content: Mapping[str, Any]) -> Figure:
    """Check what was typed like a figure file."""
    from pydantic import ValidationError

    from edgesim.errors import from_validation
    from edgesim.experiment.figure import Figure

    try:
        return Figure.model_validate(content)
    except ValidationError as error:
        found = from_validation("figure", error, Figure)
        # What concerns two keys stands at neither; the message begins with one.
        key = found.where.removeprefix("figure").removeprefix(": ")
        begins = found.what if key in ("", "plot") else key
        options = {
            "set": "--set",
            "plot.kind": "--map",
            "plot.compare": "--compare",
            "plot.measure": "--measure",
            "plot.x_scale": "--log",
            "plot.y_scale": "--log",
            "y_scale": "--log",
            "relative": "--relative",
        }
        option = next((o for k, o in options.items() if begins.startswith(k)), "--vary")
        raise InputError(option, found.what) from None


def _swept(vary: Sequence[str]) -> tuple[dict[str, Any], bool]:
    """Return the sections ``sweep`` and ``second``, and whether the x axis is log."""
    from edgesim.scenario.key_path import parts_of

    found: list[tuple[dict[str, Any], bool]] = []
    for text in vary:
        key, equals, values = text.partition("=")
        key = key.strip()
        if not equals or not key or not values.strip():
            raise InputError(
                "--vary", f"must be KEY=START:STOP:COUNT or KEY=a,b,c, found {text!r}"
            )
        try:
            parts_of(key)
        except InputError as error:
            raise InputError("--vary", f"{error.what}, found {key!r}") from None
        if any(key == other["parameter"] for other, _ in found):
            raise InputError(f"--vary {key}", "is given twice; give one list of values")
        listed, log = values_of(key, values)
        found.append(({"parameter": key, "values": listed}, log))
    if len(found) > 2:
        raise InputError("--vary", f"is for one or two parameters, found {len(found)}")
    (first, log), *others = found
    sections = {"sweep": first}
    if others:
        sections["second"], _ = others[0]
    return sections, log


def _is_online(source: FigureSource) -> bool:
    from edgesim.scenario.file import is_online

    keys = [*source.figure.set]
    return is_online(source.scenario_file) or any(k.startswith("online") for k in keys)


def _set(
    online: bool,
    solver: str | None,
    policy: str | None,
    repeats: int | None,
    files: Mapping[str, str | None],
    settings: Sequence[str],
) -> tuple[dict[str, Any], list[str]]:
    """Return the values that options set, and the solvers and policies typed."""
    from edgesim.cli.options import policy_names, solver_names
    from edgesim.cli.settings import read_settings, whole_paths
    from edgesim.shipped import locate

    names: tuple[str, ...] = ()
    found: dict[str, Any] = {}
    options: dict[str, str] = {}
    given = (solver, policy, repeats, files["--trace"], files["--profile"])
    for key, value in zip(_SET_BY, given, strict=True):
        if value is not None:
            options[key] = _SET_BY[key]
    if solver is not None:
        if online:
            raise InputError("--solver", "is for plans, and this scenario is online")
        names = solver_names("--solver", solver)
        found["run.solvers"] = list(names)
    if policy is not None:
        if not online:
            raise InputError("--policy", "is for online scenarios, and this one plans")
        names = policy_names("--policy", policy)
        found["online.policies"] = list(names)
    if repeats is not None:
        found["run.repeats"] = repeats
    for option, key in (("--trace", "workload.trace"), ("--profile", "profile")):
        path = files[option]
        if path is not None:
            there = locate(option.removeprefix("--"), path, where=option)
            found[key] = str(there.absolute())
    named = whole_paths(read_settings(settings, options))
    typed = [*names, *_names_in(named)]
    return {**found, **named}, typed


def _names_in(named: Mapping[str, Any]) -> list[str]:
    """List all texts among values: code named in them was typed."""
    found: list[str] = []
    waiting: list[Any] = list(named.values())
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, Mapping):
            waiting += value.values()
        elif isinstance(value, (list, tuple)):
            waiting += value
    return found
