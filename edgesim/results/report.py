"""Write a run's folder, trial by trial: online only one trial is in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

from edgesim.errors import InputError, in_file
from edgesim.experiment.inputs import Inputs
from edgesim.experiment.trial import Trial
from edgesim.measures.series import check_samples
from edgesim.plugins import Ending
from edgesim.results.online_summary import OnlineSummary, OpenTable
from edgesim.results.pictures import (
    PictureError,
    Pictures,
    known_formats,
    write_pictures,
)
from edgesim.results.plan_summary import PlanSummary
from edgesim.results.provenance import provenance
from edgesim.results.replaced import RUN_FOLDER
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
from edgesim.storage.files import TEXT, write_json, write_or_save
from edgesim.storage.manifest import Kind, write_sealed
from edgesim.storage.output_folder import write_output_folder
from edgesim.storage.rescue import rescued
from edgesim.text import counted


class Report(NamedTuple):
    """Contents of ``summary.json`` and ``run.json`` of a run."""

    summary: dict[str, Any]
    run: dict[str, Any]


class Beside(NamedTuple):
    """What else goes into a run's folder, once all of its trials are there.

    Parameters
    ----------
    kind
        What the folder is with these.
    write
        Writes the files that are no pictures into the folder.
    pictures
        Returns what draws the pictures.
    """

    kind: Kind
    write: Callable[[Path], None]
    pictures: Callable[[], Pictures]


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
    made: Sequence[Trial] = (),
    beside: Beside | None = None,
) -> Report | None:
    """Write every output of a run into a folder, all of them or none.

    What ends it early, an interrupt or a full disk, leaves the trials that were done:
    their rows and schedules, in a folder ``NAME.partial``.

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
        Created. An earlier run there is replaced; what else it holds stays.
    inputs, trials
        The inputs of the run and its trials, repeat by repeat. Trials are consumed one
        by one.
    failed
        User's own solvers that are omitted, with the reason, for ``run.json``; read
        once all trials are consumed.
    formats
        Formats of the pictures: ``png``, ``pdf``, ``svg``.
    made
        Trials that are made before ``trials`` yields the first: they are kept if the
        process must end meanwhile.
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
        holds no earlier run.
    WriteError
        When it cannot be written; plans are then kept in the folder for temporary
        files.
    PictureError
        When a picture cannot be drawn or written: then all else is written, and its
        ``report`` is what this would return.
    """
    formats = known_formats(formats)
    check_outputs(inputs)
    trials = iter(trials)
    with rescued(lambda: _keep_made(folder, inputs, made)):
        first = next(trials, None)
    if first is None:
        return None
    reports: list[_Written] = []
    if inputs.scenario.online is None:
        kept = [first]

        def write(place: Path) -> None:
            again = _kept_and_rest(kept, trials)
            reports.append(_write_trials(place, inputs, again, failed, formats, beside))

        write_or_save(folder, write)
    else:
        waiting = [first]
        del first
        written = _first_and_rest(waiting, trials)
        reports.append(_write_trials(folder, inputs, written, failed, formats, beside))
    report, undrawn = reports[0]
    if undrawn is not None:
        error = PictureError(undrawn.where, f"{undrawn.what}; all else is written")
        error.report = report
        raise error from undrawn.__cause__
    return report


class _Written(NamedTuple):
    report: Report
    undrawn: PictureError | None


def _keep_made(folder: Path, inputs: Inputs, made: Sequence[Trial]) -> None:
    """Write trials as those of a run that ends after them."""

    def cut_off() -> Iterator[Trial]:
        yield from tuple(made)
        raise Ending

    if made:
        with suppress(Ending, InputError):
            _write_trials(folder, inputs, cut_off(), None, ())


def _write_trials(
    folder: Path,
    inputs: Inputs,
    trials: Iterable[Trial],
    failed: Mapping[str, Exception] | None,
    formats: Sequence[str],
    beside: Beside | None = None,
) -> _Written:
    done = _WholeTrials()
    kind = RUN_FOLDER if beside is None else beside.kind
    with write_output_folder(folder, kind, done.keep) as temporary:
        with done:
            tables = _Tables(temporary, inputs, done.open)
            results: PlanSummary | OnlineSummary
            if inputs.scenario.online is None:
                results = PlanSummary(inputs, temporary)
            else:
                results = OnlineSummary(inputs, temporary, done.open)
            for trial in trials:
                tables.add(trial)
                results.add(trial)
                done.add()
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
        write_sealed(temporary / "run.json", run)
        drawn = results.pictures()
        if beside is not None:
            beside.write(temporary)
            drawn = {**drawn, **beside.pictures()}
        undrawn = write_pictures(temporary, drawn, formats, folder)
    return _Written(Report(summary, run), undrawn)


def _kept_and_rest(kept: list[Trial], rest: Iterator[Trial]) -> Iterator[Trial]:
    """Chain the trials and keep all, so that they can be written a second time."""
    yield from tuple(kept)
    for trial in rest:
        kept.append(trial)
        yield trial


def _first_and_rest(first: list[Trial], rest: Iterator[Trial]) -> Iterator[Trial]:
    """Chain the trials without keeping the first in memory."""
    yield first.pop()
    yield from rest


class _WholeTrials:
    """Tables that are open while trials are added, and where the last whole one ends.

    A context: it closes the tables.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._open: dict[Path, IO[str]] = {}
        self._whole_bytes: dict[Path, int] = {}
        self._trials = 0

    def __enter__(self) -> _WholeTrials:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def open(self, path: Path) -> IO[str]:
        """Open a table to write to."""
        file: IO[str] = self._stack.enter_context(path.open("w", newline="", **TEXT))
        self._open[path] = file
        return file

    def add(self) -> None:
        """Take down that a trial is in all tables."""
        self._trials += 1
        for path, file in self._open.items():
            file.flush()
            self._whole_bytes[path] = path.stat().st_size

    def keep(self, folder: Path) -> str:
        """Cut the tables behind the last whole trial; say how many there are."""
        del folder
        for path, size in self._whole_bytes.items():
            os.truncate(path, size)
        return counted(self._trials, "run") if self._trials else ""


class _Tables:
    """Tables of requests and rounds, trial by trial."""

    def __init__(self, folder: Path, inputs: Inputs, open_: OpenTable) -> None:
        online = inputs.scenario.online

        def begun(name: str, columns: Sequence[str]) -> IO[str]:
            file = open_(folder / name)
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
