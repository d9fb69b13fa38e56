"""Text of a run for people: a row per solver or policy, and the gains of sharing."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from edgesim.engine.records import NEVER_FITS, NO_LINK
from edgesim.measures import losses
from edgesim.measures.intervals import correlation_limit
from edgesim.measures.student import mean_interval
from edgesim.results.online_summary import SUMMARY
from edgesim.results.provenance import assumed_text, library_text
from edgesim.results.report import Report
from edgesim.text import (
    ABSENT,
    TEXT_WIDTH,
    counted,
    number,
    percent,
    seconds,
    shortened,
)
from edgesim.text import table as columns_of
from solvers.registry import NO_SHARING


def table(report: Report) -> str:
    """Format a run for people: the library, a row per solver or policy, the gains.

    Below stand what lost the requests that were not in time, and what was assumed,
    where a scenario leaves that to edgesim.
    """
    if report.summary["schema"] == SUMMARY:
        lines = _online_lines(report.summary)
    else:
        lines = _plan_lines(report.summary, report.run["runtime_s"])
    lines += gain_lines(report.summary)
    lines += method_lines(report.summary)
    lines += lost_lines(report.summary)
    assumed = report.run["assumed"]
    if assumed:
        lines.append(assumed_text(assumed))
    return "\n".join(lines)


def _plan_lines(
    summary: Mapping[str, Any], runtime_s: Mapping[str, Sequence[float]]
) -> list[str]:
    """Format a row per solver, with means over repeats."""
    lines = [
        library_text(summary["library"]),
        f"{'solver':<22}{'in time':>14}{'planned':>9}{'bound':>8}{'gap':>8}"
        f"{'optimal':>10}{'solver time':>14}",
    ]
    for name, entry in summary["solvers"].items():
        in_time, half = entry["in_time"]["mean"], entry["in_time"]["half_width_95"]
        interval = "" if half is None else f" ± {half:.1f}"
        proven = sum(status == "optimal" for status in entry["status"])
        repeats = len(entry["status"])
        lines.append(
            f"{shortened(name, 21):<22}{f'{in_time:.1f}{interval}':>14}"
            f"{entry['served']['mean']:>9.1f}"
            f"{entry['bound']['mean']:>8.1f}"
            f"{entry['gap']['mean']:>8.1%}"
            f"{f'{proven}/{repeats}':>10}"
            f"{_mean(runtime_s[name]):>12.3f} s"
        )
    return lines


def gain_lines(summary: Mapping[str, Any]) -> list[str]:
    """Say what sharing gains, a line per solver or policy with a twin without it."""
    if summary["schema"] == SUMMARY:
        return [
            f"sharing gains {shortened(name)} {_points(gain['on_time_ratio'])}"
            f"{_latency(summary['policies'], name, gain)}"
            for name, gain in summary["sharing_gain"].items()
        ]
    lines = []
    for name, entry in summary["sharing_gain_in_time"].items():
        gain, half = entry["mean"], entry["half_width_95"]
        interval = "" if half is None else f" ± {half:.1f}"
        alone = summary["solvers"][name]["in_time"]["mean"] - gain
        share = f" ({gain / alone:+.0%})" if alone else ""
        lines.append(f"sharing gains {name} {gain:+.1f}{interval} in time{share}")
    return lines


def _latency(policies: Mapping[str, Any], name: str, gain: Mapping[str, Any]) -> str:
    """Say what sharing does to latency where it changes nothing in time."""
    on_time = gain["on_time_ratio"]["mean"]
    p95_s = [
        policies[one]["measures"]["latency_p95_s"]["mean"]
        for one in (name + NO_SHARING, name)
        if one in policies
    ]
    if on_time is None or abs(on_time) >= _SAME or len(p95_s) < 2 or None in p95_s:
        return ""
    return (
        f"; its p95 latency is {seconds(p95_s[1])}, without sharing {seconds(p95_s[0])}"
    )


def method_lines(summary: Mapping[str, Any]) -> list[str]:
    """Say what was measured over, what ± means, and when it means little."""
    if summary["schema"] == SUMMARY:
        return _online_method(summary)
    requests = summary["requests"]
    return [
        f"of {_mean(requests):.1f} requests on average; "
        f"means over {len(requests)} repeat{'s' if len(requests) > 1 else ''}"
        + (", ± half a 95 % interval" if len(requests) > 1 else "")
        + (f"; {_FEW}" if len(requests) == 2 else ""),
        *_lost_to_all(summary, "solvers"),
    ]


def _mean(values: Sequence[float]) -> float:
    return mean_interval([float(value) for value in values])[0]


HEAD = (
    "policy",
    "on time",
    "in time/s",
    "late",
    "dropped",
    "latency p50",
    "latency p95",
    "batch",
    "load",
    "compute",
    "wait",
    "idle",
)


def _online_lines(summary: Mapping[str, Any]) -> list[str]:
    """Format a row per policy."""
    lines = [library_text(summary["library"])]
    lines += columns_of(
        HEAD, [_row(name, entry) for name, entry in summary["policies"].items()]
    )
    return lines


def _online_method(summary: Mapping[str, Any]) -> list[str]:
    requests = summary["requests"]
    method = f"of {counted(sum(requests), 'request')}. {summary['method']}"
    values = summary["repeats"] if summary["repeats"] > 1 else summary["batches"]
    if values == 2:
        method += f" {_FEW[0].upper()}{_FEW[1:]}."
    lines = _wrapped(method)
    lines += _lost_to_all(summary, "policies")
    limit = correlation_limit(summary["batches"])
    correlated = [
        name
        for name, entry in summary["policies"].items()
        if summary["repeats"] == 1
        and (entry["measures"]["on_time_ratio"]["lag1"] or 0.0) > limit
    ]
    if correlated:
        lines += _wrapped(
            f"batches are correlated for {', '.join(map(shortened, correlated))}: "
            f"their intervals are too narrow; take fewer batches or a longer trace"
        )
    return lines


def _lost_to_all(summary: Mapping[str, Any], kind: str) -> list[str]:
    """Report requests that no policy, or no solver, can serve: a line each reason."""
    dropped_by = next(iter(summary[kind].values())).get("dropped_by", {})
    found = [(reason, dropped_by.get(reason)) for reason in _FOR_ALL]
    return [
        f"{counted(count, 'request')} dropped by all: {reason}"
        for reason, count in found
        if count
    ]


_SAME = 0.0005
"""A difference of shares below this is shown as 0.0 points."""

_FOR_ALL = (NO_LINK, NEVER_FITS)

_FEW = "an interval of 2 values means little"

_LOST_TO = {
    losses.LINK: "{} had no link",
    losses.MEMORY: "{} asked for models that never fit in GPU memory",
    losses.UPLOAD: "{} were lost in the upload",
    losses.GPU: "{} were lost on the GPU",
    losses.QUEUE: "{} found the queue full",
    losses.POLICY: "{} were left out by choice",
}


def lost_lines(summary: Mapping[str, Any]) -> list[str]:
    """Say what the requests that were not in time were lost to, if there are any.

    Where solvers or policies differ, the first one's numbers stand for them.
    """
    requests = sum(summary["requests"])
    if not requests:
        return ["nobody is served: there are no requests"]
    lost = summary.get("lost_to")
    if not lost:
        return []
    name, counts = next((name, of) for name, of in lost.items() if of)
    whose = "" if all(one == counts for one in lost.values()) else f" (by {name})"
    parts = ", ".join(
        _LOST_TO[cause].format(f"{n:,}").replace("were", "was" if n == 1 else "were")
        for cause, n in counts.items()
    )
    if all(sum(one.values()) == requests for one in lost.values()):
        return _wrapped(
            f"nobody is served in time: of {counted(requests, 'request')}{whose}, "
            f"{parts}"
        )
    verb = "is" if sum(counts.values()) == 1 else "are"
    return _wrapped(
        f"of {counted(requests, 'request')}, {sum(counts.values()):,} {verb} not "
        f"served in time{whose}: {parts}"
    )


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, TEXT_WIDTH, break_on_hyphens=False)


def _row(name: str, entry: Mapping[str, Any]) -> list[str]:
    measures = entry["measures"]

    def share(measure: str) -> str:
        return percent(measures[measure]["mean"])

    def time(measure: str) -> str:
        mean = measures[measure]["mean"]
        return ABSENT if mean is None else seconds(mean)

    on_time, batch = measures["on_time_ratio"], measures["mean_batch"]["mean"]
    half = on_time["half_width_95"]
    interval = "" if half is None else f" ± {100 * half:.1f}"
    return [
        shortened(name),
        ABSENT
        if on_time["mean"] is None
        else f"{100 * on_time['mean']:.1f}{interval} %",
        number(measures["in_time_per_s"]["mean"]),
        share("late_ratio"),
        share("dropped_ratio"),
        time("latency_p50_s"),
        time("latency_p95_s"),
        ABSENT if batch is None else f"{batch:.2f}",
        *(share(f"{part}_share") for part in ("load", "compute", "wait", "idle")),
    ]


def _points(gain: Mapping[str, Any]) -> str:
    """Format a difference of ratios in percentage points."""
    if gain["mean"] is None:
        return "nothing: no requests are measured"
    half = gain["half_width_95"]
    interval = "" if half is None else f" ± {100 * half:.1f}"
    return f"{100 * gain['mean']:+.1f}{interval} points on time"
