"""What an online run leaves behind; written as runs end, so that one is in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from edgesim.errors import InputError, in_file
from edgesim.files import write_json, write_whole_folder
from edgesim.online.intervals import (
    Estimate,
    batch_spans,
    differences,
    estimates,
    method,
    sample,
)
from edgesim.online.measures import Account, OnlineMeasures, measure_span
from edgesim.online.perfetto import write_window
from edgesim.online.plot_data import Drawn, keep_for_plots
from edgesim.online.run import OnlineInputs, PolicyRun, run_repeat
from edgesim.online.series import (
    SERIES_COLUMNS,
    check_samples,
    dump_series,
    sample_series,
)
from edgesim.online.tables import (
    REQUEST_COLUMNS,
    ROUND_COLUMNS,
    dump_header,
    dump_requests,
    dump_rounds,
)
from edgesim.plotting.online import (
    plot_goodput,
    plot_gpu,
    plot_latency,
    plot_on_time,
)
from edgesim.plotting.style import save
from edgesim.plugins import file_name
from edgesim.provenance import library_facts, provenance
from solvers.registry import NO_SHARING

OUTPUTS = (
    "summary.json",
    "requests.csv",
    "rounds.csv",
    "series.csv",
    "run.json",
    "latency.png",
    "on-time.png",
    "gpu-time.png",
    "goodput.png",
    "perfetto",
)
SUMMARY = "edgesim.online-summary/1"


@dataclass
class _Kept:
    """What is kept of one policy: everything but its records."""

    samples: list[OnlineMeasures] = field(default_factory=list)
    whole: list[OnlineMeasures] = field(default_factory=list)
    drawn: list[Drawn] = field(default_factory=list)
    runtime_s: list[float] = field(default_factory=list)


def run_and_report(
    folder: Path,
    inputs: OnlineInputs,
    advance: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Run every repeat under every policy, and write every output, all or none.

    ``summary.json``, ``series.csv``, the pictures, ``run.json``; ``requests.csv`` and
    ``rounds.csv`` as ``online.records`` says; ``perfetto/REPEAT-POLICY.json`` of the
    window, where one is given. All but ``run.json``, which holds run times and
    versions, are the same bytes for the same inputs and seed, unless a time limit
    ended a solver.

    Parameters
    ----------
    folder
        Made, or replaced if it holds an earlier run.
    inputs
        What is run.
    advance
        Called now and then with the requests that have come and all there will be.

    Returns
    -------
    dict
        What ``summary.json`` holds.

    Raises
    ------
    InputError
        When a policy cannot be run, the time series would be too long, the window for
        a viewer begins after the last arrival, or the folder holds something else or
        cannot be written.
    """
    _check(inputs)
    kept: dict[str, _Kept] = {}
    with write_whole_folder(folder, OUTPUTS) as temporary:
        with ExitStack() as stack:
            files = _Tables(temporary, inputs, stack)
            for repeat in range(inputs.scenario.run.repeats):
                told = _told(inputs, repeat, advance)
                for one in run_repeat(inputs, repeat, told):
                    _keep(inputs, one, files, kept.setdefault(one.policy, _Kept()))
                    del one  # before the next one is simulated
        summary = summarise(inputs, kept)
        write_json(temporary / "summary.json", summary)
        _write_pictures(temporary, inputs, kept)
        runtime_s = {name: of.runtime_s for name, of in kept.items()}
        write_json(
            temporary / "run.json",
            provenance(inputs.scenario, inputs.sources, runtime_s, inputs.assumed),
        )
    return summary


def _check(inputs: OnlineInputs) -> None:
    """Refuse what the outputs cannot show, before anything is simulated."""
    window_s, length_s = inputs.online.window_s, inputs.length_s
    with in_file(inputs.scenario_file):
        check_samples(length_s, inputs.online.sample_s)
        if window_s is not None and window_s[0] > length_s:
            raise InputError(
                "online.window_s",
                f"must begin within the {length_s:g} s in which requests arrive, "
                f"found [{window_s[0]:g}, {window_s[1]:g}]",
            )


def _told(
    inputs: OnlineInputs, repeat: int, advance: Callable[[int, int], None] | None
) -> Callable[[str, int, int], None] | None:
    """Turn progress within one policy's run into that of the whole."""
    if advance is None:
        return None
    policies = inputs.online.policies
    repeats = inputs.scenario.run.repeats

    def told(policy: str, done: int, requests: int) -> None:
        before = repeat * len(policies) + policies.index(policy)
        advance(before * requests + done, repeats * len(policies) * requests)

    return told


class _Tables:
    """The tables that grow run by run, open while the block of a stack lasts."""

    def __init__(self, folder: Path, inputs: OnlineInputs, stack: ExitStack) -> None:
        self.folder = folder
        online = inputs.online

        def begun(name: str, columns: Sequence[str]) -> IO[str]:
            file = stack.enter_context(
                (folder / name).open("w", encoding="utf-8", newline="")
            )
            dump_header(file, columns)
            return file

        self.series = begun("series.csv", SERIES_COLUMNS)
        self.requests = self.rounds = None
        if online.records != "none":
            self.requests = begun("requests.csv", REQUEST_COLUMNS)
            self.rounds = begun("rounds.csv", ROUND_COLUMNS)
        self.window_s = online.window_s if online.records == "window" else None


def _keep(inputs: OnlineInputs, one: PolicyRun, files: _Tables, kept: _Kept) -> None:
    """Measure a run, write out what is asked for, and keep what is small."""
    online = inputs.online
    account = Account(one.run, one.tables)
    users, repeat, policy = one.stream.users, one.repeat, one.policy
    whole = batch_spans(online.warmup_s, one.stream.duration_s)
    spans = batch_spans(online.warmup_s, one.stream.duration_s, _batches(inputs))
    measures = measure_span(account, *whole[0])
    with in_file(inputs.scenario_file):
        series = sample_series(account, online.sample_s)
    kept.samples += sample([account], spans)
    kept.whole.append(measures)
    kept.drawn.append(keep_for_plots(account, measures, series, whole[0]))
    kept.runtime_s.append(one.runtime_s)
    dump_series(files.series, series, repeat, policy)
    if files.requests is not None and files.rounds is not None:
        dump_requests(files.requests, account, users, repeat, policy, files.window_s)
        dump_rounds(files.rounds, account, repeat, policy, files.window_s)
    if online.window_s is not None:
        place = files.folder / "perfetto"
        place.mkdir(exist_ok=True)
        name = f"{repeat}-{file_name(policy)}.json"
        write_window(place / name, account, users, online.window_s)


def _batches(inputs: OnlineInputs) -> int:
    """Spans each run is divided into: batches of one run, or repeats as they are."""
    return inputs.online.batches if inputs.scenario.run.repeats == 1 else 1


def summarise(inputs: OnlineInputs, kept: Mapping[str, _Kept]) -> dict[str, Any]:
    """Condense a run: every measure by policy, and what sharing gains."""
    scenario, online = inputs.scenario, inputs.online
    first = next(iter(kept.values()))
    repeats = scenario.run.repeats
    batches = _batches(inputs)
    end_s = online.warmup_s + first.whole[0].span_s
    return {
        "schema": SUMMARY,
        "scenario": scenario.name,
        "uplink": online.uplink,
        "late": online.late,
        "residency": scenario.gpu.residency,
        "overlap": scenario.gpu.overlap,
        "seed": scenario.run.seed,
        "repeats": repeats,
        "batches": batches,
        "warmup_s": online.warmup_s,
        "measured_s": [measures.span_s for measures in first.whole],
        "method": method(repeats, batches, online.warmup_s, end_s),
        "library": library_facts(inputs.library),
        "requests": [measures.requests for measures in first.whole],
        "policies": {name: _condensed(of) for name, of in kept.items()},
        "sharing_gain": {
            name: {
                measure: _interval(found)
                for measure, found in differences(
                    of.samples, kept[name + NO_SHARING].samples
                ).items()
            }
            for name, of in kept.items()
            if name + NO_SHARING in kept
        },
    }


def _interval(found: Estimate) -> dict[str, Any]:
    return {
        "mean": found.mean,
        "half_width_95": found.half_width,
        "lag1": found.lag1,
        "values": list(found.values),
    }


def _condensed(of: _Kept) -> dict[str, Any]:
    """Totals over all that is measured, and each measure with its interval."""
    dropped_by: dict[str, int] = {}
    models = dict.fromkeys(name for m in of.whole for name in m.offered_per_s)
    for measures in of.whole:
        for reason, count in measures.dropped_by.items():
            dropped_by[reason] = dropped_by.get(reason, 0) + count
    measured_s = sum(m.span_s for m in of.whole)
    return {
        "in_time": sum(m.in_time for m in of.whole),
        "late": sum(m.late for m in of.whole),
        "dropped": sum(m.dropped for m in of.whole),
        "dropped_by": dropped_by,
        "measures": {n: _interval(e) for n, e in estimates(of.samples).items()},
        "goodput_per_s": {
            name: sum(m.goodput_per_s.get(name, 0.0) * m.span_s for m in of.whole)
            / measured_s
            for name in models
        },
    }


def _write_pictures(
    folder: Path, inputs: OnlineInputs, kept: Mapping[str, _Kept]
) -> None:
    runs = {name: of.drawn for name, of in kept.items()}
    gpu = inputs.scenario.gpu
    rest = ", loads overlap batches" if gpu.overlap else ""
    title = (
        f"{inputs.scenario.name}, {inputs.online.uplink} uplink, "
        f"residency {gpu.residency}{rest}"
    )
    save(plot_latency(runs, title=title), folder / "latency.png")
    on_time = plot_on_time(runs, warmup_s=inputs.online.warmup_s, title=title)
    save(on_time, folder / "on-time.png")
    save(plot_gpu(runs, title=title), folder / "gpu-time.png")
    save(plot_goodput(runs, title=title)[0], folder / "goodput.png")
