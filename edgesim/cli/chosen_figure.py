"""The figure that was asked for: a file with options, or a scenario with ``--vary``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesim.cli.scenario_options import OPTIONS, given_keys, option_values
from edgesim.errors import InputError

if TYPE_CHECKING:
    from edgesim.experiment.figure import Case, Figure, Panel, PlotSpec
    from edgesim.results.figure_source import FigureSource

COMMAND_LINE = Path("--vary")
"""What stands for the file of a figure that has none."""

_EVERYWHERE = {"run.solvers", "online.policies", "run.repeats"}
"""What options replace in panels and cases too."""


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
    vary: Sequence[str],
    chosen: Mapping[str, Any],
    plot: Mapping[str, Any],
    log: str | None,
    settings: Sequence[str],
    out: Path | None,
) -> FigureSource:
    """Make the figure that was asked for.

    Parameters
    ----------
    name
        A figure file, a shipped figure, or with ``vary`` a scenario.
    vary
        Each ``KEY=VALUES``.
    chosen
        What each option of ``OPTIONS`` was given, None if it was not.
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
    from edgesim.results.figure_source import default_folder

    if log is not None:
        one_of("--log", log, ("x", "y", "xy"))
    as_map = plot.get("kind") == "map"
    base = _varying(name, vary, out, as_map) if vary else _opened(name, out)
    online = _is_online(base)
    given, options, typed = _set(base.scenario_file, chosen, settings, online=online)
    _check_apart(base.figure, options)
    axes = {f"{axis}_scale": "log" for axis in log or ""}
    shown = {k: v for k, v in {**plot, **axes}.items() if v is not None}
    if not given and not shown:
        return base
    content = base.figure.model_dump(exclude_unset=True)
    if vary:
        content["title"] = _title(base, given)
    content["set"] = {**content.get("set", {}), **given}
    for part in (*content.get("panel", ()), *content["sweep"].get("cases", ())):
        for key in _EVERYWHERE & given.keys() & part.get("set", {}).keys():
            del part["set"][key]
    content["plot"] = {**_still_true(base.figure.plot, shown), **shown}
    folder = base.folder
    if not vary:  # it is no longer the figure of its file
        folder = out or default_folder(base.stem)
    return replace(
        base, figure=_checked(content), folder=folder, typed=frozenset(typed)
    )


def _varying(
    name: str, vary: Sequence[str], out: Path | None, as_map: bool
) -> FigureSource:
    """Make a figure of a scenario in which parameters are varied."""
    from edgesim.cli.vary import varied
    from edgesim.results.figure_source import FigureSource, default_folder
    from edgesim.scenario.file import read_scenario

    if as_map and len(vary) == 1:
        raise InputError("--map", "needs two parameters; give --vary twice")
    scenario_file = _scenario_file(name)
    scenario = read_scenario(scenario_file)
    swept, log_x = varied(vary)
    title = f"{scenario.name}: {scenario.about}" if scenario.about else scenario.name
    content: dict[str, Any] = {"title": title, "scenario": name, **swept}
    if log_x and not as_map:
        content["plot"] = {"x_scale": "log"}
    return FigureSource(
        _checked(content),
        COMMAND_LINE,
        scenario_file,
        out or default_folder(scenario.name),
        scenario.name,
        from_file=False,
    )


def _title(base: FigureSource, given: Mapping[str, Any]) -> str:
    """Name the profile and the trace that were given in the title of a scenario."""
    from edgesim.experiment.defaults import is_own_models

    named = [
        f"{what} {Path(given[key]).stem}"
        for what, key in (("profile", "profile"), ("trace", "workload.trace"))
        if isinstance(given.get(key), str)
    ]
    if not named:
        return base.figure.title
    own = is_own_models(base.scenario_file)
    about = base.stem if own else base.figure.title
    return f"{about}{':' if own else ','} {', '.join(named)}"


def _still_true(plot: PlotSpec, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a file says of its plot, of the y axis only if that stays."""
    content = plot.model_dump(exclude_unset=True)
    shown = ("measure", "compare", "relative")
    if all(getattr(plot, key) == chosen.get(key, getattr(plot, key)) for key in shown):
        return content
    return {key: value for key, value in content.items() if not key.startswith("y_")}


def _check_apart(figure: Figure, options: Mapping[str, str]) -> None:
    """Refuse options that set what is varied, or what panels or cases differ in.

    Parameters
    ----------
    figure
        The figure without them.
    options
        What was typed for a value, by its key path.
    """
    from edgesim.scenario.key_path import overlap
    from edgesim.scenario.parameters import NAMED

    parts: tuple[Panel | Case, ...] = (*figure.panel, *figure.sweep.cases)
    for key, option in options.items():
        for parameter in figure.parameters:
            if parameter not in NAMED and overlap(key, parameter):
                raise InputError(
                    option, f"sets {parameter}, which is varied; give one of them"
                )
        for part in parts:
            if key not in _EVERYWHERE and any(overlap(key, one) for one in part.set):
                raise InputError(
                    option,
                    f"sets {key}, which {part.title!r} sets; give one of them",
                )


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
    from edgesim.results.figure_source import open_figure
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


def _is_online(source: FigureSource) -> bool:
    from edgesim.scenario.file import is_online

    keys = [*source.figure.set]
    return is_online(source.scenario_file) or any(k.startswith("online") for k in keys)


def _set(
    scenario: Path,
    chosen: Mapping[str, Any],
    settings: Sequence[str],
    *,
    online: bool,
) -> tuple[dict[str, Any], dict[str, str], list[str]]:
    """Return the values that options set, what set each, and the names of code."""
    from edgesim.cli.settings import read_settings, whole_paths
    from edgesim.shipped import locate, shipped_file

    given = option_values(scenario, chosen, online=online)
    names = given.get("run.solvers", ()) + given.get("online.policies", ())
    found = {k: list(v) if isinstance(v, tuple) else v for k, v in given.items()}
    for option, key in (("--trace", "workload.trace"), ("--profile", "profile")):
        path = chosen[option]
        if path is not None:
            kind = option.removeprefix("--")
            there = locate(kind, path, where=option)
            shipped = shipped_file(kind, path) == there
            found[key] = path if shipped else str(there.absolute())
    named = whole_paths(read_settings(settings, given_keys(chosen)))
    typed = [*names, *_names_in(named)]
    options = {key: OPTIONS[key] for key in found}
    options |= {key: f"--set {key}" for key in named}
    return {**found, **named}, options, typed


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
