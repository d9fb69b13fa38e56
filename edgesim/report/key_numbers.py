"""The numbers of a run that come first: by solver or policy, and what sharing gains."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from edgesim.plotting.colours import looks
from edgesim.report.page import paragraph, text
from edgesim.report.tables import table
from edgesim.results.columns import Columns
from edgesim.results.runs import Runs
from edgesim.results.text import gain_lines, lost_lines, method_lines
from edgesim.text import ABSENT, number, percent, seconds
from solvers.registry import NO_SHARING

PARTS = ("load", "compute", "wait", "idle")
_FACES = {"load": "#c98500", "compute": "#2f6db3", "wait": "#b9a5d6", "idle": "#e3e3e3"}

Entry = Mapping[str, Any]


def key_numbers(runs: Runs) -> str:
    """Make the table of key numbers, with the sentences that belong to it."""
    plans = runs.kind == "solver"
    head = [runs.kind, "in time", "share in time", "latency p50", "latency p95"]
    head += ["planned", "bound", "gap"] if plans else ["in time/s", "mean batch"]
    rows, seen = [], looks(runs.entries)
    for name, entry in runs.entries.items():
        measures = entry if plans else entry["measures"]
        cells = [
            _count(entry["in_time"]) if plans else f"{entry['in_time']:,}",
            _share(measures.get("on_time_ratio")),
            _time(measures.get("latency_p50_s")),
            _time(measures.get("latency_p95_s")),
        ]
        if plans:
            cells += [_mean(entry["served"]), _mean(entry["bound"])]
            cells.append(percent(entry["gap"]["mean"]))
        else:
            cells += [_count(measures["in_time_per_s"]), _mean(measures["mean_batch"])]
        rows.append(
            f'<tr><th scope="row">{chip(name, seen[name].colour)}{text(name)}</th>'
            + "".join(f'<td class="number">{text(cell)}</td>' for cell in cells)
            + f"<td>{_bar(_gpu_shares(measures, plans))}</td></tr>"
        )
    top = "".join(
        f'<th scope="col"{" class=number" if k else ""}>{text(one)}</th>'
        for k, one in enumerate(head)
    )
    keys = " ".join(
        f'<span><i class="chip" style="background-color:{_FACES[part]}"></i>{part}'
        "</span>"
        for part in PARTS
    )
    gains = "".join(
        paragraph(f"{line[0].upper()}{line[1:]}.", "strong")
        for line in gain_lines(runs.summary)
    )
    lost = " ".join(lost_lines(runs.summary))
    return (
        gains
        + (paragraph(f"{lost[0].upper()}{lost[1:]}.", "strong") if lost else "")
        + f'<div class="wide"><table>\n<thead><tr>{top}<th scope="col">GPU time: {keys}'
        f"</th></tr></thead>\n<tbody>\n{chr(10).join(rows)}\n</tbody></table></div>"
        + paragraph(_sentence(" ".join(method_lines(runs.summary))), "note")
    )


def _sentence(words: str) -> str:
    words = words.strip()
    return f"{words[0].upper()}{words[1:]}{'' if words.endswith('.') else '.'}"


def chip(name: str, colour: str) -> str:
    """Make a square of the colour of a solver or policy; hatched without sharing."""
    twin = " twin" if name.endswith(NO_SHARING) else ""
    return f'<i class="chip{twin}" style="background-color:{colour}"></i>'


def _gpu_shares(measures: Entry, plans: bool) -> dict[str, float] | None:
    """Return what the GPU did, as shares of its time; None if that is not known."""
    suffix = "s" if plans else "share"
    means = {part: measures.get(f"{part}_{suffix}", {}).get("mean") for part in PARTS}
    known = {part: mean for part, mean in means.items() if mean is not None}
    total = sum(known.values())
    if len(known) < len(PARTS) or total <= 0:
        return None
    return {part: mean / total for part, mean in known.items()}


def _bar(shares: Mapping[str, float] | None) -> str:
    if shares is None:
        return ABSENT
    said = ", ".join(f"{part} {percent(share)}" for part, share in shares.items())
    parts = "".join(
        f'<i style="width:{100 * share:.2f}%;background-color:{_FACES[part]}"></i>'
        for part, share in shares.items()
    )
    return f'<div class="bar" role="img" aria-label="{said}">{parts}</div>{said}'


def lost_tables(runs: Runs, requests: Columns | None) -> str:
    """Say what the requests were lost to, and how: late, or dropped for which reason.

    What a request was lost to is what it lacked: a link, time of the band or the GPU,
    memory. How it ended, late or dropped, is up to the solver or policy.
    """
    causes = {name: dict(of) for name, of in runs.summary.get("lost_to", {}).items()}
    return _counts(runs.kind, causes, []) + _counts(
        runs.kind, _lost(runs, requests) or {}, ["late"]
    )


def _counts(
    kind: str, counted: Mapping[str, Mapping[str, int]], first: Sequence[str]
) -> str:
    """Make a table of counts, a row for each solver or policy; nothing without any."""
    if not counted:
        return ""
    heads = [*dict.fromkeys([*first, *(key for of in counted.values() for key in of)])]
    rows = [
        [name, *(f"{of.get(head, 0):,}" for head in heads)]
        for name, of in counted.items()
    ]
    return table([kind, *heads], rows, [False, *(True for _ in heads)])


def _lost(runs: Runs, requests: Columns | None) -> dict[str, Counter[str]] | None:
    """Count lost requests by solver or policy and reason, all repeats together."""
    if runs.kind == "policy":
        return {
            name: Counter({"late": entry["late"], **entry["dropped_by"]})
            for name, entry in runs.entries.items()
        }
    if requests is None:
        return None
    lost: dict[str, Counter[str]] = {name: Counter() for name in runs.entries}
    columns = (requests[name].tolist() for name in ("solver", "outcome", "reason"))
    for name, outcome, reason in zip(*columns, strict=True):
        if outcome != "in time" and name in lost:
            lost[name][reason or outcome] += 1
    return lost


def measures_table(runs: Runs) -> str:
    """Make a table of every measure, a row per solver or policy."""
    rows = runs.to_dict()
    names = [
        name
        for name in dict.fromkeys(key for row in rows for key in row)
        if not name.endswith("_half_width_95") and name != runs.kind
    ]
    cells = [
        [
            str(row[runs.kind]),
            *(_plus_minus(row.get(n), row.get(f"{n}_half_width_95")) for n in names),
        ]
        for row in rows
    ]
    return table([runs.kind, *names], cells, [False, *(True for _ in names)])


def _plus_minus(mean: float | None, half_width: float | None) -> str:
    if mean is None:
        return ABSENT
    return number(mean, 4) + ("" if half_width is None else f" ± {number(half_width)}")


def _count(interval: Entry) -> str:
    return _plus_minus(interval["mean"], interval["half_width_95"])


def _mean(interval: Entry) -> str:
    return number(interval["mean"])


def _share(interval: Entry | None) -> str:
    if interval is None or interval["mean"] is None:
        return ABSENT
    half = interval["half_width_95"]
    rest = "" if half is None else f" ± {100 * half:.1f}"
    return f"{100 * interval['mean']:.1f}{rest} %"


def _time(interval: Entry | None) -> str:
    if interval is None or interval["mean"] is None:
        return ABSENT
    return seconds(interval["mean"])
