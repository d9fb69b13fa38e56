"""Results of a run: in memory, or read back from their folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from edgesim.errors import InputError, short
from edgesim.experiment.inputs import Inputs
from edgesim.experiment.trial import Trial
from edgesim.measures.account import Account
from edgesim.measures.measure import Measures, measure
from edgesim.results.columns import Columns, decoded, joined, read_columns
from edgesim.results.online_summary import SUMMARY, OnlineSummary
from edgesim.results.plan_summary import PlanSummary
from edgesim.results.provenance import provenance
from edgesim.results.replaced import RUN_FOLDER
from edgesim.results.report import Report, write_run
from edgesim.results.stored import check_stored
from edgesim.results.tables import (
    PLAN_REQUEST_COLUMNS,
    PLAN_ROUND_COLUMNS,
    REQUEST_COLUMNS,
    ROUND_COLUMNS,
    Labels,
    request_columns,
    request_order,
    round_columns,
    round_order,
)
from edgesim.results.text import table
from edgesim.storage.files import keep_inputs, read_json
from edgesim.storage.output_folder import check_output_folder

_PLURALS = {"solver": "solvers", "policy": "policies"}
_COLUMNS = {
    ("solver", "requests.csv"): PLAN_REQUEST_COLUMNS,
    ("solver", "rounds.csv"): PLAN_ROUND_COLUMNS,
    ("policy", "requests.csv"): REQUEST_COLUMNS,
    ("policy", "rounds.csv"): ROUND_COLUMNS,
}


class Runs:
    """Results of every solver or policy in every repeat.

    Made by :func:`edgesim.run` and :func:`edgesim.read_run`.

    Attributes
    ----------
    summary
        Contents of ``summary.json``: every measure with its interval, gains of sharing.
    info
        Contents of ``run.json``: versions, the scenario, hashes of inputs, run times.
    trials
        The runs themselves; empty if they were read from a folder.
    """

    def __init__(
        self,
        report: Report,
        inputs: Inputs | None = None,
        trials: Sequence[Trial] = (),
        folder: Path | None = None,
    ) -> None:
        self.summary: dict[str, Any] = report.summary
        self.info: dict[str, Any] = report.run
        self.trials = tuple(trials)
        self._report = report
        self._inputs = inputs
        self._folder = folder
        # Where they are now: the current folder may be another one later.
        self._read: list[Path] = []
        if inputs is not None:
            files = [source.path for source in inputs.sources.values()]
            if inputs.scenario.file is not None:
                files.append(inputs.scenario.file)
            self._read = [file.absolute() for file in files]

    def __repr__(self) -> str:
        names = ", ".join(self.entries)
        repeats = self.summary["repeats"]
        return f"Runs({self.summary['scenario']!r}: {names}; repeats: {repeats})"

    @property
    def kind(self) -> str:
        """What is compared: ``"solver"``, or ``"policy"`` of an online run."""
        return "policy" if self.summary["schema"] == SUMMARY else "solver"

    @property
    def entries(self) -> dict[str, dict[str, Any]]:
        """What ``summary.json`` says of each solver or policy, by name."""
        of: dict[str, dict[str, Any]] = self.summary[_PLURALS[self.kind]]
        return of

    @property
    def keeps_records(self) -> bool:
        """Whether there are requests and rounds: ``online.records`` is not none."""
        if self._folder is None:
            return True
        online = self.info["scenario"].get("online") or {}
        return bool(online.get("records") != "none")

    def table(self) -> str:
        """Return the command's output: a row per solver or policy, and the gains."""
        return table(self._report)

    def to_dict(self, orient: str = "records") -> list[dict[str, Any]]:
        """Return the table as data: one row per solver or policy.

        Parameters
        ----------
        orient
            ``"records"``, the only supported value.

        Returns
        -------
        list of dict
            Name, mean of each measure over repeats or batches, and half-width of its 95
            % interval as ``MEASURE_half_width_95``; None if undefined.
        """
        if orient != "records":
            raise InputError("orient", f"must be 'records', found {orient!r}")
        rows = []
        for name, entry in self.entries.items():
            row: dict[str, Any] = {self.kind: name}
            measures = entry.get("measures", entry)
            for measure_name, value in measures.items():
                if isinstance(value, dict) and "mean" in value:
                    row[measure_name] = value["mean"]
                    row[f"{measure_name}_half_width_95"] = value["half_width_95"]
            rows.append(row)
        return rows

    def requests(self) -> Columns:
        """Return one row per request: the columns of ``requests.csv``.

        Runs in memory have all requests; those read from a folder only the ones kept by
        the scenario's ``online.records``.

        Raises
        ------
        InputError
            If the folder keeps none, or its table is damaged.
        """
        if self._folder is not None:
            return self._read_table("requests.csv")
        return joined(
            self.kind,
            [
                (t.repeat, t.name, _requests(t.account, Labels(t.users, t.ids)))
                for t in self.trials
            ],
        )

    def rounds(self) -> Columns:
        """Return one row per round: the columns of ``rounds.csv``.

        Like :meth:`requests`.
        """
        if self._folder is not None:
            return self._read_table("rounds.csv")
        return joined(
            self.kind, [(t.repeat, t.name, _rounds(t.account)) for t in self.trials]
        )

    def _read_table(self, table: str) -> Columns:
        assert self._folder is not None
        if not self.keeps_records:
            raise InputError(
                self._folder / table,
                "was not kept: the scenario says online.records = 'none'",
            )
        columns = ("repeat", self.kind, *_COLUMNS[self.kind, table])
        return read_columns(self._folder / table, columns)

    def write(self, folder: str | Path, formats: Iterable[str] = ("png",)) -> Path:
        """Write the folder that ``edgesim run`` leaves, all of it or nothing.

        Parameters
        ----------
        folder
            Made. An earlier run there is replaced; what else it holds stays.
        formats
            Formats of the pictures: ``png``, ``pdf``, ``svg``.

        Raises
        ------
        InputError
            If these runs were read from a folder, or this one holds no earlier run or
            cannot be written.
        """
        if not isinstance(folder, (str, Path)):
            raise InputError("folder", f"must be a path, found {short(folder)}")
        place = Path(folder)
        inputs = self._inputs
        if inputs is None:
            raise InputError(
                place, "cannot be written: these runs are those of a folder"
            )
        keep_inputs(place, *self._read)
        check_output_folder(place, RUN_FOLDER)
        write_run(place, inputs, self.trials, formats=formats)
        return place


class Simulation:
    """Result of one policy on given requests.

    Made by :func:`edgesim.simulate`.

    Attributes
    ----------
    account
        The run, with the tables it was simulated with.
    """

    def __init__(self, account: Account, users: Sequence[str]) -> None:
        self.account = account
        self._users = users

    @property
    def measures(self) -> Measures:
        """The measures of the whole run."""
        return measure(self.account)

    def requests(self) -> Columns:
        """Return one row per request, in order of arrival."""
        return Columns(_requests(self.account, Labels(self._users)))

    def rounds(self) -> Columns:
        """Return one row per round, in order."""
        return Columns(_rounds(self.account))


def runs_of(inputs: Inputs, trials: Sequence[Trial]) -> Runs:
    """Summarise trials that are in memory."""
    results: PlanSummary | OnlineSummary
    if inputs.scenario.online is None:
        results = PlanSummary(inputs)
    else:
        results = OnlineSummary(inputs)
    for trial in trials:
        results.add(trial)
    run = provenance(
        inputs.scenario, inputs.sources, results.runtime_s(), inputs.assumed
    )
    return Runs(Report(results.summary(), run), inputs, trials)


def read_run(folder: Path) -> Runs:
    """Read the results of a run from a folder.

    Raises
    ------
    InputError
        If the folder holds no run, or its files are damaged.
    """
    summary = read_json(folder / "summary.json")
    run = read_json(folder / "run.json")
    if isinstance(run, dict):
        run.pop("sha256", None)  # of the file, not of the run
    check_stored(folder, summary, run)
    return Runs(Report(summary, run), folder=folder)


def _requests(account: Account, names: Labels) -> dict[str, Any]:
    columns = request_columns(account, names)
    return {name: decoded(columns[name]) for name in request_order(account)}


def _rounds(account: Account) -> dict[str, Any]:
    columns = round_columns(account)
    return {name: decoded(columns[name]) for name in round_order(account)}
