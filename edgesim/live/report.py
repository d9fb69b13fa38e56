"""What a live run leaves beside a run's own tables: how far its simulations are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from edgesim.engine.records import Floats
from edgesim.live.comparison import (
    Comparison,
    Served,
    percentiles,
    signed_errors,
    total_ratio,
)
from edgesim.measures.errors import Errors
from edgesim.plotting.live import LivePolicy, plot_live
from edgesim.profile.values import Measured, Profile
from edgesim.results.pictures import Pictures
from edgesim.results.rows import Row, write_csv
from edgesim.storage.files import write_json, write_whole
from edgesim.storage.manifest import Kind
from edgesim.text import counted, markdown_table, size_text

PICTURE = "compare"
LIVE_FOLDER = Kind("live")

_ERRORS = ("mean", "p50", "p90", "p99")

ROUND_COLUMNS = ("policy", "quantity", "size", "simulated_s", "live_s")

_SIZES = 4
"""At most as many groups of loads of different bytes."""


@dataclass(frozen=True)
class Setting:
    """The settings of a live run.

    Parameters
    ----------
    scenario, profile, tier
        The scenario's name, the profile, and the tier that blocks are loaded from.
    residency
        What stays in memory.
    late
        What happens to requests that cannot be in time.
    duration_s, threads
        How long requests arrive, and torch's threads.
    device, driver, versions, machine
        As reported by the device.
    date, command
        Date of the run, in ISO 8601, and its command.
    graphs
        Whether the profile's batches were captured graphs.
    by_graph
        Whether the live runs' were.
    packed
        Whether blocks share the bytes of the GPU's memory.
    dispatch_s, decision_s
        What loads and batches take beyond themselves, and what each policy takes to
        choose a round, both measured before the runs.
    """

    scenario: str
    profile: Profile
    tier: str
    residency: str
    late: str
    duration_s: float
    threads: int
    device: str
    driver: str
    versions: Mapping[str, str]
    machine: Mapping[str, str]
    date: str
    command: str
    graphs: bool
    by_graph: bool
    packed: bool
    dispatch_s: float
    decision_s: Mapping[str, float]


def write_comparison(
    folder: Path, setting: Setting, compared: Sequence[Comparison]
) -> None:
    """Write ``compare.md``, ``round-times.csv`` and ``live.json`` into a folder."""
    with write_whole(folder / "compare.md") as file:
        file.write(f"{text(setting, compared)}\n")
    write_csv(folder / "round-times.csv", _rows(compared), ROUND_COLUMNS)
    write_json(folder / "live.json", document(setting, compared))


def pictures(setting: Setting, compared: Sequence[Comparison]) -> Pictures:
    """Return what draws the picture of a comparison."""
    title = f"{setting.scenario} on {setting.device}"
    policies = [
        LivePolicy(
            c.measured.name,
            c.live.on_time,
            c.closed.on_time,
            c.open.on_time,
            c.loads,
            c.batches,
        )
        for c in compared
    ]
    return {PICTURE: lambda: plot_live(policies, title=title)}


def text(setting: Setting, compared: Sequence[Comparison]) -> str:
    """Format the comparison for people: where the numbers are from, then tables."""
    lines = [_first(setting), "", *(f"- {line}" for line in _facts(setting, compared))]
    for head, about, table in (
        ("Requests in time", _ABOUT_SHARES, _shares(compared)),
        ("Where the error comes from, in points", _ABOUT_PARTS, _parts(compared)),
        ("Latency of requests computed, in ms", "", _latencies(compared)),
        ("Loads and batches, in ms", _ABOUT_ERRORS, _times(compared)),
        ("Loads and batches by size, in ms", "", _by_size(compared)),
        ("Where the time went, in s", _ABOUT_SPLIT, _splits(compared)),
        ("Deciding, and how late things were handled, in ms", "", _delays(compared)),
        ("What a simulation may count", _ABOUT_KEYS, _keys(setting, compared)),
        ("Memory", _ABOUT_MEMORY[setting.packed], _memory(compared)),
    ):
        lines += ["", f"## {head}", ""]
        lines += [about, ""] if about else []
        lines.append(table)
    return "\n".join(lines)


_ABOUT_SHARES = (
    "In points, live − simulated. Closed: live run and simulation each decide for "
    "themselves. Open: the live\nrun's rounds followed by the simulated engine, so "
    "that nothing differs but times. Same rounds: of the live\nrun's, those equal to "
    "the closed simulation's until the first that differs. Other deliveries: requests "
    "whose input arrived at another time;\nnone where late requests are served and "
    "queues are not limited."
)
_ABOUT_PARTS = (
    "Closed simulation made again after the run: with the live means of loads, with "
    "those of batches too, and with\nwhat loads and batches took beyond themselves, "
    "deciding and dispatch. It explains the error, it predicts nothing."
)
_ABOUT_ERRORS = (
    "Live − simulated, round by round, where both did the same work; in % of the "
    "simulated sum. As the device\nmeasures them; what the profile adds to a batch for "
    "dispatch is left out."
)
_ABOUT_SPLIT = (
    "Dispatch: what loads and batches took beyond themselves, from the engine to the "
    "device and back. Deciding and\nhandling (the engine's own work): while the device "
    "had nothing to do. All of them make the wall time; with overlap, less the time of "
    "both, a load and a batch."
)
_ABOUT_KEYS = (
    "`gpu.dispatch_s` and `online.decision_s` of a scenario: what loads and batches "
    "took beyond themselves in this run,\nbesides what the profile adds to batches; "
    "and what choosing a round took, on average. They predict other runs."
)

_ABOUT_MEMORY = {
    True: "A block lies in one piece, at the lowest offset with room for it (first "
    "fit, multiples of 512 bytes). Scattered:\nmost bytes that were free but not in "
    "one piece; if a block needed them, all blocks were moved together.",
    False: "Each block has a place of its own: the pool holds all blocks, and which of "
    "them are in memory, within the GPU's\nlimit, the run decides. Nothing is "
    "scattered or moved.",
}


def _first(setting: Setting) -> str:
    provenance = setting.profile.provenance
    same = isinstance(provenance, Measured) and provenance.device == setting.device
    if same:
        return (
            f"# {setting.scenario}: live and simulated\n\nProfile and live run are of "
            f"the same kind of device: {setting.device}."
        )
    return (
        f"# {setting.scenario}: live and simulated\n\nThe profile is of "
        f"{provenance.device} ({provenance.kind}), the live run of {setting.device}: "
        f"two devices."
    )


def _facts(setting: Setting, compared: Sequence[Comparison]) -> list[str]:
    provenance = setting.profile.provenance
    when = f" on {provenance.date}" if isinstance(provenance, Measured) else ""
    machine = "; ".join(f"{name} {value}" for name, value in setting.machine.items())
    versions = ", ".join(f"{name} {value}" for name, value in setting.versions.items())
    decisions = ", ".join(
        f"{name} {decision_s * 1e6:.0f} µs"
        for name, decision_s in setting.decision_s.items()
    )
    lines = [
        f"Requests arrive for {setting.duration_s:g} s; late requests: {setting.late}; "
        f"residency: {setting.residency}; blocks from {setting.tier} memory.",
        f"Profile: {setting.profile.name}, {provenance.kind}{when}; nothing of the "
        f"live run entered the simulation, which was made before it.",
        f"Device: {setting.device}; driver {setting.driver}; {versions}; {machine}; "
        f"{counted(setting.threads, 'thread')} of torch.",
        f"Dispatch: loads and batches take {setting.dispatch_s * 1e6:.0f} µs beyond "
        f"themselves (and what the profile adds), measured before the runs, one model "
        f"after another. Deciding: {decisions} a round, measured when the policies "
        f"were simulated before.",
        f"Run on {setting.date}: `{setting.command}`.",
        "Every model's output was that of the model built by itself, on a fixed input: "
        "before the run after a load over a relative, and at its end on the memory "
        "that it left. Bytes copied are bytes recorded.",
    ]
    if setting.by_graph:
        lines.append("Batches were captured graphs, live as in the profile.")
    elif setting.graphs:
        lines.append(
            "The profile's batches were captured graphs; live they were launched "
            "operator by operator."
        )
    for one in compared:
        if one.measured.ended:
            why = "a signal" if one.measured.interrupted else "its limit"
            lines.append(
                f"{one.measured.name}: ended by {why} after "
                f"{one.measured.split.wall_s:.1f} s; what had arrived by then is "
                f"compared."
            )
    return lines


def _shares(compared: Sequence[Comparison]) -> str:
    others = list(dict.fromkeys(what for c in compared for what in c.others))
    head = ["policy", "requests", "live", "closed", "error", "open", "error"]
    for what in others:
        head += [what, "error"]
    body = []
    for c in compared:
        row = [c.measured.name, f"{c.live.requests:,}", _percent(c.live.on_time)]
        for one in (c.closed, c.open, *(c.others.get(what) for what in others)):
            share = None if one is None else one.on_time
            row += [_percent(share), _points(c.live.on_time, share)]
        body.append([*row, _percent(c.same_rounds), f"{c.other_deliveries:,}"])
    return markdown_table([*head, "same rounds", "other deliveries"], body)


def _parts(compared: Sequence[Comparison]) -> str:
    body = []
    for c in compared:
        found = c.split
        parts = (
            (None,) * 5
            if found is None
            else (found.error, found.loads, found.batches, found.deciding, found.rest)
        )
        body.append([c.measured.name, *map(_signed_points, parts)])
    head = ("policy", "error", "loads", "batches", "deciding and dispatch", "rest")
    return markdown_table(head, body)


def _by_size(compared: Sequence[Comparison]) -> str:
    body = [
        [
            c.measured.name,
            what,
            size,
            f"{len(pairs):,}",
            *map(_ms, pairs[:, :2].mean(axis=0).tolist()),
            _ratio(total_ratio(pairs)),
        ]
        for c in compared
        for what, size, pairs in (
            *(("load", size, pairs) for size, pairs in _loads_by_size(c.loads)),
            *(("batch", size, pairs) for size, pairs in _batches_by_size(c.batches)),
        )
    ]
    head = ("policy", "of", "size", "number", "simulated", "live", "% of the sum")
    return markdown_table(head, body)


def _batches_by_size(pairs: Floats) -> Iterator[tuple[str, Floats]]:
    for size in np.unique(pairs[:, 2]):
        yield f"{size:.0f}", pairs[pairs[:, 2] == size]


def _loads_by_size(pairs: Floats) -> Iterator[tuple[str, Floats]]:
    """Group loads of similar bytes, about as many in each group."""
    if not len(pairs):
        return
    ordered = pairs[np.argsort(pairs[:, 2], kind="stable")]
    sizes = np.unique(ordered[:, 2])
    for group in np.array_split(sizes, min(_SIZES, len(sizes))):
        least, most = int(group[0]), int(group[-1])
        held = (ordered[:, 2] >= least) & (ordered[:, 2] <= most)
        text = size_text(least)
        yield text if least == most else f"{text}–{size_text(most)}", ordered[held]


def _latencies(compared: Sequence[Comparison]) -> str:
    body = []
    for c in compared:
        row = [c.measured.name]
        for one in (c.live, c.closed, c.open):
            row += [_ms(value) for value in one.latency_s or (None, None, None)]
        body.append(row)
    heads = [
        f"{of} {p}" for of in ("live", "closed", "open") for p in ("p50", "p95", "p99")
    ]
    return markdown_table(["policy", *heads], body)


def _times(compared: Sequence[Comparison]) -> str:
    body = []
    for c in compared:
        for what, pairs in (("load", c.loads), ("batch", c.batches)):
            found = signed_errors(pairs)
            means = pairs[:, :2].mean(axis=0).tolist() if len(pairs) else [None, None]
            ratio = total_ratio(pairs) if len(pairs) else None
            body.append(
                [
                    c.measured.name,
                    what,
                    f"{len(pairs):,}",
                    *map(_ms, means),
                    *(_signed_ms(found, name) for name in _ERRORS),
                    _ratio(ratio),
                ]
            )
    head = ("policy", "of", "number", "simulated", "live", *_ERRORS, "% of the sum")
    return markdown_table(head, body)


def _splits(compared: Sequence[Comparison]) -> str:
    names = ["wall", "load", "compute", "deciding", "idle", "dispatch", "handling"]
    if any(c.measured.split.both_s for c in compared):
        names.insert(3, "both")
    body = [
        [
            c.measured.name,
            *(f"{getattr(c.measured.split, f'{name}_s'):.3f}" for name in names),
        ]
        for c in compared
    ]
    return markdown_table(["policy", *names], body)


def _delays(compared: Sequence[Comparison]) -> str:
    body = []
    for c in compared:
        m = c.measured
        row = [m.name]
        for values in (m.choose_s, m.lateness_s, m.handover_s):
            row += [_ms(value) for value in percentiles(values) or (None, None, None)]
        busy_s = m.split.load_s + m.split.compute_s
        row.append(_percent(m.deciding_s / busy_s if busy_s else None))
        body.append(row)
    heads = [
        f"{of} {p}"
        for of in ("a choice", "lateness", "end heard of")
        for p in ("p50", "p99", "max")
    ]
    return markdown_table(["policy", *heads, "deciding of busy"], body)


def _memory(compared: Sequence[Comparison]) -> str:
    body = [
        [
            c.measured.name,
            *(
                f"{getattr(c.measured, name):,}"
                for name in (
                    "pool_bytes",
                    "copied_bytes",
                    "copies",
                    "scattered_bytes",
                    "compactions",
                    "moved_bytes",
                )
            ),
        ]
        for c in compared
    ]
    head = ("policy", "pool (bytes)", "copied", "copies", "scattered", "compactions")
    return markdown_table([*head, "moved"], body)


def _rows(compared: Sequence[Comparison]) -> Iterator[Row]:
    for c in compared:
        for what, pairs in (("load", c.loads), ("batch", c.batches)):
            for simulated_s, live_s, size in pairs.tolist():
                yield {
                    "policy": c.measured.name,
                    "quantity": what,
                    "size": int(size),
                    "simulated_s": simulated_s,
                    "live_s": live_s,
                }


def _keys(setting: Setting, compared: Sequence[Comparison]) -> str:
    body = [
        [c.measured.name, *(_ms(value) for value in _counted(setting, c).values())]
        for c in compared
    ]
    return markdown_table(
        ["policy", "gpu.dispatch_s (ms)", "online.decision_s (ms)"], body
    )


def _counted(setting: Setting, c: Comparison) -> dict[str, float]:
    """Return the keys by which a simulation counts what this run took."""
    m = c.measured
    works, choices = len(m.handover_s), len(m.choose_s)
    batches = int((m.run.rounds.compute_s > 0).sum())
    beyond_s = m.split.dispatch_s + m.split.handling_s
    beyond_s -= setting.profile.round_overhead_s * batches
    return {
        "dispatch_s": max(0.0, beyond_s / works) if works else 0.0,
        "decision_s": sum(m.choose_s) / choices if choices else 0.0,
    }


def document(setting: Setting, compared: Sequence[Comparison]) -> dict[str, Any]:
    """Return ``live.json``: all that it takes to repeat it, and the numbers."""
    return {
        "schema": "edgesim.live/1",
        "edgesim": version("edgesim"),
        "scenario": setting.scenario,
        "profile": setting.profile.name,
        "tier": setting.tier,
        "residency": setting.residency,
        "late": setting.late,
        "duration_s": setting.duration_s,
        "torch_threads": setting.threads,
        "dispatch_s": setting.dispatch_s,
        "decision_s": dict(setting.decision_s),
        "batches": "graph" if setting.by_graph else "eager",
        "packed": setting.packed,
        "device": setting.device,
        "driver": setting.driver,
        "versions": dict(setting.versions),
        "machine": dict(setting.machine),
        "date": setting.date,
        "command": setting.command,
        "policies": {
            c.measured.name: _policy(c) | {"keys": _counted(setting, c)}
            for c in compared
        },
    }


def _policy(c: Comparison) -> dict[str, Any]:
    m = c.measured
    return {
        "requests": m.requests,
        "live": _served(c.live),
        "closed": _served(c.closed),
        "open": _served(c.open),
        **{what: _served(one) for what, one in c.others.items()},
        "rounds": c.live_rounds,
        "left_over": c.left_over,
        "other_deliveries": c.other_deliveries,
        "error_split": None if c.split is None else asdict(c.split),
        "first_different_round": c.first_difference,
        "load_error_ratio": total_ratio(c.loads) if len(c.loads) else None,
        "batch_error_ratio": total_ratio(c.batches) if len(c.batches) else None,
        "time": {**asdict(m.split), "handling_s": m.split.handling_s},
        "deciding_s": m.deciding_s,
        "decisions": len(m.choose_s),
        "choose_s": _named(m.choose_s),
        "lateness_s": _named(m.lateness_s),
        "handover_s": _named(m.handover_s),
        "pool_bytes": m.pool_bytes,
        "copied_bytes": m.copied_bytes,
        "copies": m.copies,
        "scattered_bytes": m.scattered_bytes,
        "compactions": m.compactions,
        "moved_bytes": m.moved_bytes,
        "ended": m.ended,
        "interrupted": m.interrupted,
    }


def _served(one: Served) -> dict[str, Any]:
    return {
        "requests": one.requests,
        "on_time_ratio": one.on_time,
        "latency_s": None if one.latency_s is None else list(one.latency_s),
    }


def _named(values: Sequence[float]) -> dict[str, float] | None:
    found = percentiles(values)
    names = ("p50", "p99", "max")
    return None if found is None else dict(zip(names, found, strict=True))


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value * 1e3:.3f}"


def _signed_ms(found: Errors | None, name: str) -> str:
    return "–" if found is None else f"{getattr(found, name) * 1e3 + 0.0:+.3f}"


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value * 100 + 0.0:+.1f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share * 100:.2f} %"


def _points(live: float | None, simulated: float | None) -> str:
    if live is None or simulated is None:
        return _signed_points(None)
    return _signed_points(live - simulated)


def _signed_points(share: float | None) -> str:
    return "–" if share is None else f"{round(share * 100, 2) + 0.0:+.2f}"
