"""Write a run's folder, trial by trial: online only one trial is in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, NamedTuple

from edgesim.errors import InputError, in_file
from edgesim.experiment.inputs import Inputs
from edgesim.experiment.trial import Trial
from edgesim.files import write_json, write_whole_folder
from edgesim.measures.series import check_samples
from edgesim.results import online_summary, plan_summary
from edgesim.results.online_summary import OnlineSummary
from edgesim.results.pictures import (
    PictureError,
    Pictures,
    known_formats,
    write_pictures,
)
from edgesim.results.plan_summary import PlanSummary
from edgesim.results.provenance import provenance
from edgesim.results.tables import (
    PLAN_REQUEST_COLUMNS,
    PLAN_ROUND_COLUMNS,
    REQUEST_COLUMNS,
    ROUND_COLUMNS,
    Labels,
    Window,
    dump_header,
    dump_requests,
    dump_rounds,
)

PAGE = "report.html"
"""What ``edgesim report`` adds to a run's folder; the next run there replaces it."""


class Report(NamedTuple):
    """Contents of ``summary.json`` and ``run.json`` of a run."""

    summary: dict[str, Any]
    run: dict[str, Any]


class Beside(NamedTuple):
    """What else goes into a run's folder, once all of its trials are there.

    Parameters
    ----------
    outputs
        Its files, pictures included.
    write
        Writes those that are no pictures into the folder.
    pictures
        Returns what draws the pictures.
    """

    outputs: tuple[str, ...]
    write: Callable[[Path], None]
    pictures: Callable[[], Pictures]


def outputs_of(inputs: Inputs, beside: tuple[str, ...] = ()) -> tuple[str, ...]:
    """List the files and folders of a run of these inputs, its page included."""
    plans = inputs.scenario.online is None
    own = plan_summary.OUTPUTS if plans else online_summary.OUTPUTS
    return (*own, *beside, PAGE)


def check_outputs(inputs: Inputs) -> None:
    """Refuse settings that the outputs cannot show, before anything is simulated.

    Raises
    ------
    InputError
        If the time series would be too long, or the window for a viewer begins after
        the last arrival.
    """
    if inputs.scenario.online is None:
        return
    window_s, length_s = inputs.online.window_s, inputs.length_s
    with in_file(inputs.scenario_file):
        check_samples(length_s, inputs.online.sample_s)
        if window_s is not None and window_s[0] > length_s:
            raise InputError(
                "online.window_s",
                f"must begin within the {length_s:g} s in which requests arrive, "
                f"found [{window_s[0]:g}, {window_s[1]:g}]",
            )


def write_run(
    folder: Path,
    inputs: Inputs,
    trials: Iterable[Trial],
    failed: Mapping[str, Exception] | None = None,
    formats: Iterable[str] = ("png",),
    beside: Beside | None = None,
) -> Report | None:
    """Write every output of a run into a folder, all of them or none.

    ``summary.json``, ``requests.csv``, ``rounds.csv``, ``run.json`` and pictures. For
    plans also ``plans/REPEAT/`` with the instance and each schedule, and
    ``perfetto.json`` of the first solver's plan in repeat 0; online ``series.csv`` and
    ``perfetto/REPEAT-POLICY.json`` of the window, if one is given, and requests and
    rounds as set by ``online.records``. All but ``run.json``, which holds run times and
    versions, are the same bytes for the same inputs and seed, unless a time limit ended
    a solver.

    Parameters
    ----------
    folder
        Created, or replaced if it holds an earlier run.
    inputs, trials
        The inputs of the run and its trials, repeat by repeat. Trials are consumed one
        by one.
    failed
        User's own solvers that are omitted, with the reason, for ``run.json``; read
        once all trials are consumed.
    formats
        Formats of the pictures: ``png``, ``pdf``, ``svg``.
    beside
        What else goes into the folder.

    Returns
    -------
    Report or None
        None, and nothing is written, if there is no trial at all.

    Raises
    ------
    InputError
        As :func:`check_outputs` does, for formats that are none, and when the folder
        holds something else or cannot be written.
    PictureError
        When a picture cannot be drawn: then all else is written, and its ``report`` is
        what this would return.
    """
    formats = known_formats(formats)
    check_outputs(inputs)
    trials = iter(trials)
    first = next(trials, None)
    if first is None:
        return None
    waiting = [first]
    del first
    more = () if beside is None else beside.outputs
    with write_whole_folder(folder, outputs_of(inputs, more)) as temporary:
        with ExitStack() as stack:
            tables = _Tables(temporary, inputs, stack)
            results: PlanSummary | OnlineSummary
            if inputs.scenario.online is None:
                results = PlanSummary(inputs, temporary)
            else:
                results = OnlineSummary(inputs, temporary, stack)
            for trial in _first_and_rest(waiting, trials):
                tables.add(trial)
                results.add(trial)
                del trial  # before the next one is simulated
        summary = results.summary()
        write_json(temporary / "summary.json", summary)
        run = provenance(
            inputs.scenario,
            inputs.sources,
            results.runtime_s(),
            inputs.assumed,
            failed,
        )
        write_json(temporary / "run.json", run)
        drawn = results.pictures()
        if beside is not None:
            beside.write(temporary)
            drawn = {**drawn, **beside.pictures()}
        undrawn = write_pictures(temporary, drawn, formats, folder)
    report = Report(summary, run)
    if undrawn is not None:
        error = PictureError(undrawn.where, f"{undrawn.what}; all else is written")
        error.report = report
        raise error from undrawn.__cause__
    return report


def _first_and_rest(first: list[Trial], rest: Iterator[Trial]) -> Iterator[Trial]:
    """Chain the trials without keeping the first in memory."""
    yield first.pop()
    yield from rest


class _Tables:
    """Tables of requests and rounds, trial by trial; open as long as the exit stack."""

    def __init__(self, folder: Path, inputs: Inputs, stack: ExitStack) -> None:
        online = inputs.scenario.online

        def begun(name: str, columns: Sequence[str]) -> IO[str]:
            file = stack.enter_context(
                (folder / name).open("w", encoding="utf-8", newline="")
            )
            dump_header(file, "solver" if online is None else "policy", columns)
            return file

        self._requests = self._rounds = None
        self._window_s: Window | None = None
        if online is None:
            self._requests = begun("requests.csv", PLAN_REQUEST_COLUMNS)
            self._rounds = begun("rounds.csv", PLAN_ROUND_COLUMNS)
        elif online.records != "none":
            self._requests = begun("requests.csv", REQUEST_COLUMNS)
            self._rounds = begun("rounds.csv", ROUND_COLUMNS)
            self._window_s = online.window_s if online.records == "window" else None

    def add(self, trial: Trial) -> None:
        """Append a trial's rows."""
        if self._requests is None or self._rounds is None:
            return
        which = trial.repeat, trial.name, self._window_s
        names = Labels(trial.users, trial.ids)
        dump_requests(self._requests, trial.account, names, *which)
        dump_rounds(self._rounds, trial.account, *which)
