"""Errors of a figure in terms of the options that were typed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from edgesim.cli.chosen_figure import COMMAND_LINE
from edgesim.errors import InputError

if TYPE_CHECKING:
    from edgesim.results.figure_source import FigureSource


@contextmanager
def naming_options(
    source: FigureSource,
    settings: Sequence[str],
    plot: Mapping[str, Any],
    given: Mapping[str, str],
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
    given
        Other options that were given, by the key that each sets.
    """
    try:
        yield
    except InputError as error:
        told = _told(error, source, settings, plot, given)
        if told is error:
            raise
        raise told from error


def _told(
    error: InputError,
    source: FigureSource,
    settings: Sequence[str],
    plot: Mapping[str, Any],
    given: Mapping[str, str],
) -> InputError:
    """Tell an error in terms of what was typed; the same one if it is a file's."""
    place = error.where.removeprefix(f"{source.where}: ")
    option = place.removeprefix("plot.")
    if option != place and plot.get(option) is not None:
        return InputError(f"--{option}", error.what)
    keys = [text.partition("=")[0].strip() for text in settings]
    options = {**given, **{key: f"--set {key}" for key in keys}}
    inner = error.__cause__
    if place != "sweep, set or panel" or not isinstance(inner, InputError):
        return _renamed(error, source, options)
    varied = [] if source.from_file else source.figure.parameters
    if inner.where in varied:
        return InputError(f"--vary {inner.where}", inner.what)
    options |= _varied_by(source, varied)
    found = _renamed(inner, source, options)
    if found.where != inner.where:
        said = error.what.partition(f": {inner.where}: ")[0]
        of_one = found.where in given.values() and said
        return InputError(found.where, f"{said}: {found.what}") if of_one else found
    return error if source.from_file else InputError(str(COMMAND_LINE), error.what)


def _renamed(
    error: InputError, source: FigureSource, options: Mapping[str, str]
) -> InputError:
    """Name the option in an error about a value of the scenario, if one set it."""
    from edgesim.cli.settings import naming_settings

    try:
        with naming_settings(source.scenario_file, options):
            raise error
    except InputError as found:
        return found


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
