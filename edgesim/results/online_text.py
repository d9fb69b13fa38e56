"""What people read of an online run: a row a policy, what sharing gains, and how."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from edgesim.engine.records import NEVER_FITS, NO_LINK
from edgesim.measures.intervals import correlation_limit
from edgesim.results.provenance import library_text
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

HEAD = (
    "policy",
    "on time",
    "in time/s",
    "late",
    "dropped",
    "p50",
    "p95",
    "batch",
    "load",
    "compute",
    "wait",
    "idle",
)


def table(summary: Mapping[str, Any]) -> str:
    """Write what people read: a row a policy, what sharing gains, and how measured.

    Parameters
    ----------
    summary
        From :func:`edgesim.online.report.run_and_report`.
    """
    lines = [library_text(summary["library"])]
    lines += columns_of(
        HEAD, [_row(name, of) for name, of in summary["policies"].items()]
    )
    for name, gain in summary["sharing_gain"].items():
        lines.append(
            f"sharing gains {shortened(name)} {_points(gain['on_time_ratio'])}"
        )
    requests = summary["requests"]
    lines += _wrapped(f"of {counted(sum(requests), 'request')}. {summary['method']}")
    lines += [_lost(reason, summary) for reason in (NO_LINK, NEVER_FITS)]
    limit = correlation_limit(summary["batches"])
    correlated = [
        name
        for name, of in summary["policies"].items()
        if summary["repeats"] == 1
        and (of["measures"]["on_time_ratio"]["lag1"] or 0.0) > limit
    ]
    if correlated:
        lines += _wrapped(
            f"batches are correlated for {', '.join(map(shortened, correlated))}: "
            f"their intervals are too narrow; take fewer batches or a longer trace"
        )
    return "\n".join(filter(None, lines))


def _lost(reason: str, summary: Mapping[str, Any]) -> str:
    """Tell of requests that no policy can serve; nothing where there are none."""
    first = next(iter(summary["policies"].values()))
    count = first["dropped_by"].get(reason, 0)
    return f"{counted(count, 'request')} dropped by all: {reason}" if count else ""


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, TEXT_WIDTH, break_on_hyphens=False)


def _row(name: str, of: Mapping[str, Any]) -> list[str]:
    measures = of["measures"]

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
    """Write a difference of ratios in percentage points."""
    if gain["mean"] is None:
        return "nothing: no requests are measured"
    half = gain["half_width_95"]
    interval = "" if half is None else f" ± {100 * half:.1f}"
    return f"{100 * gain['mean']:+.1f}{interval} points on time"
