"""Several live runs in one table: how far their simulations were."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from edgesim.errors import InputError
from edgesim.plugins import told
from edgesim.profile.drift import Drift
from edgesim.storage.files import read_json
from edgesim.text import counted, markdown_table

SCHEMA = "edgesim.live/1"

DISPATCH = "with dispatch"
"""The simulation in which deciding and dispatch take what they do on this machine."""

WANTED = 0.01
"""Error of a share in time that is small enough, whatever two live runs differ by."""


@dataclass(frozen=True)
class LiveCase:
    """One policy in one setting, run live once or several times.

    Parameters
    ----------
    policy, residency, late
        The setting.
    requests_per_s
        Requests that arrived, by the time for which they did.
    live
        Share in time of each live run.
    simulated
        That of the simulation made before it.
    dispatched
        That of the one in which deciding and dispatch take the time measured before.
    load_error, batch_error
        Mean over the runs of the signed errors of loads and batches, relative to the
        simulated sums; None without any.
    deciding
        Time of deciding, relative to loads and batches; the mean over the runs.
    lateness_p99_s
        Percentile 99 of how late the engine handled moments, the worst of the runs.
    other_deliveries
        Requests delivered at another time than simulated, in all runs.
    machine
        Device and date of each run.
    """

    policy: str
    residency: str
    late: str
    requests_per_s: float
    live: tuple[float, ...]
    simulated: float
    dispatched: float
    load_error: float | None
    batch_error: float | None
    deciding: float | None
    lateness_p99_s: float | None
    other_deliveries: int
    machine: tuple[tuple[str, str], ...]

    @property
    def error(self) -> float:
        """Mean live share − simulated share."""
        return fmean(self.live) - self.simulated

    @property
    def dispatched_error(self) -> float:
        """Mean live share − simulated share with deciding and dispatch."""
        return fmean(self.live) - self.dispatched

    @property
    def between(self) -> float | None:
        """How far the live runs are from each other; None for one."""
        return max(self.live) - min(self.live) if len(self.live) > 1 else None


def read_cases(folders: Iterable[Path]) -> list[LiveCase]:
    """Read live runs; those of one command and policy are one case.

    Parameters
    ----------
    folders
        What ``edgesim live`` wrote.

    Raises
    ------
    InputError
        If a folder holds no such result, or one that was ended before its time.
    """
    found: dict[tuple[str, str], list[_Run]] = {}
    for folder in folders:
        for run in _runs(folder / "live.json"):
            found.setdefault((run.command, run.policy), []).append(run)
    if not found:
        raise InputError("RUN", "must hold a policy that was run, found none")
    return [_case(runs) for runs in found.values()]


def text(cases: Sequence[LiveCase], drift: Sequence[Drift] = ()) -> str:
    """Format the cases for people, in Markdown; with what the device has drifted."""
    lines = [*_summary(cases), "", _table(cases)]
    if drift:
        lines += ["", _ABOUT_DRIFT, "", _drift_table(drift)]
    return "\n".join(lines)


_ABOUT_DRIFT = (
    "The profile measured again after the runs, relative to the one before them:"
)


class _Run(NamedTuple):
    """One live run of one policy; as in :class:`LiveCase`."""

    command: str
    policy: str
    residency: str
    late: str
    requests_per_s: float
    live: float
    simulated: float
    dispatched: float
    load_error: float | None
    batch_error: float | None
    deciding: float | None
    lateness_p99_s: float | None
    other_deliveries: int
    device: str
    date: str


def _runs(file: Path) -> list[_Run]:
    """Read the runs of one result."""
    document = read_json(file)
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise InputError(file, f"must be of schema {SCHEMA!r}, as edgesim live writes")
    try:
        entries: Mapping[str, Mapping[str, Any]] = document["policies"]
        for policy, entry in entries.items():
            if entry["ended"]:
                raise InputError(
                    file, f"{policy} must be a whole run, found one that ended early"
                )
            if entry["live"]["on_time_ratio"] is None:
                raise InputError(file, f"{policy} must have requests, found none")
        return [_run(document, policy, entry) for policy, entry in entries.items()]
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            file, f"must be what edgesim live writes; reading it: {told(error)}"
        ) from error


def _run(document: Mapping[str, Any], policy: str, entry: Mapping[str, Any]) -> _Run:
    time = entry["time"]
    busy_s = time["load_s"] + time["compute_s"]
    lateness_s = entry["lateness_s"]
    return _Run(
        command=document["command"],
        policy=policy,
        residency=document["residency"],
        late=document["late"],
        requests_per_s=entry["requests"] / document["duration_s"],
        live=entry["live"]["on_time_ratio"],
        simulated=entry["closed"]["on_time_ratio"],
        dispatched=entry[DISPATCH]["on_time_ratio"],
        load_error=entry["load_error_ratio"],
        batch_error=entry["batch_error_ratio"],
        deciding=entry["deciding_s"] / busy_s if busy_s else None,
        lateness_p99_s=None if lateness_s is None else lateness_s["p99"],
        other_deliveries=entry["other_deliveries"],
        device=document["device"],
        date=document["date"],
    )


def _case(runs: Sequence[_Run]) -> LiveCase:
    first = runs[0]
    late_s = [run.lateness_p99_s for run in runs if run.lateness_p99_s is not None]
    return LiveCase(
        policy=first.policy,
        residency=first.residency,
        late=first.late,
        requests_per_s=first.requests_per_s,
        live=tuple(run.live for run in runs),
        simulated=fmean(run.simulated for run in runs),
        dispatched=fmean(run.dispatched for run in runs),
        load_error=_mean([run.load_error for run in runs]),
        batch_error=_mean([run.batch_error for run in runs]),
        deciding=_mean([run.deciding for run in runs]),
        lateness_p99_s=max(late_s, default=None),
        other_deliveries=sum(run.other_deliveries for run in runs),
        machine=tuple((run.device, run.date) for run in runs),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _summary(cases: Sequence[LiveCase]) -> list[str]:
    devices = dict.fromkeys(device for case in cases for device, _ in case.machine)
    dates = sorted(date for case in cases for _, date in case.machine)
    runs = sum(len(case.live) for case in cases)
    sizes = [abs(case.error) for case in cases]
    between = [case.between for case in cases if case.between is not None]
    allowed = max([WANTED, *([fmean(between)] if between else [])])
    outside = [case for case in cases if not 0.6 <= case.simulated <= 0.95]
    lines = [
        f"{counted(len(cases), 'case')}, {counted(runs, 'live run')}, from {dates[0]} "
        f"to {dates[-1]}, on {', '.join(devices)}.",
        f"Mean |live − simulated| share of requests in time: {fmean(sizes) * 100:.2f} "
        f"points, at most {max(sizes) * 100:.2f}.",
    ]
    counted_in = [abs(case.dispatched_error) for case in cases]
    lines.append(
        f"With deciding and dispatch as measured before the runs: "
        f"{fmean(counted_in) * 100:.2f} points, at most {max(counted_in) * 100:.2f}."
    )
    if between:
        lines.append(
            f"Mean difference between runs of one case: {fmean(between) * 100:.2f} "
            f"points, at most {max(between) * 100:.2f}."
        )
    verdict = "met" if fmean(sizes) <= allowed else "not met"
    lines.append(f"Wanted is a mean of at most {allowed * 100:.2f} points: {verdict}.")
    if outside:
        lines.append(
            f"Simulated shares outside 60 to 95 %: {counted(len(outside), 'case')}."
        )
    return lines


def _table(cases: Sequence[LiveCase]) -> str:
    most = max(len(case.live) for case in cases)
    body = []
    for case in cases:
        live = [f"{share * 100:.2f}" for share in case.live]
        body.append(
            [
                case.policy,
                case.residency,
                case.late,
                f"{case.requests_per_s:.1f}",
                f"{case.simulated * 100:.2f}",
                *live,
                *["–"] * (most - len(live)),
                _signed(case.error, 2),
                _signed(case.dispatched_error, 2),
                "–" if case.between is None else f"{case.between * 100:.2f}",
                _signed(case.load_error, 1),
                _signed(case.batch_error, 1),
                "–" if case.deciding is None else f"{case.deciding * 100:.2f}",
                "–"
                if case.lateness_p99_s is None
                else f"{case.lateness_p99_s * 1e3:.2f}",
                f"{case.other_deliveries:,}",
            ]
        )
    head = [
        *("policy", "residency", "late", "requests/s", "simulated %"),
        *(f"live {number} %" for number in range(1, most + 1)),
        *("error", "with dispatch", "between runs"),
        *("loads %", "batches %", "deciding %"),
        *("lateness p99 ms", "other deliveries"),
    ]
    return markdown_table(head, body)


def _drift_table(drift: Sequence[Drift]) -> str:
    body = [[one.model, _signed(one.load, 1), _signed(one.compute, 1)] for one in drift]
    return markdown_table(["model", "loads %", "batches %"], body)


def _signed(ratio: float | None, digits: int) -> str:
    if ratio is None:
        return "–"
    return f"{round(ratio * 100, digits) + 0.0:+.{digits}f}"
