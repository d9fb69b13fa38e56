"""The page of findings: every number in it is computed here from the figures' data."""

from __future__ import annotations

import csv
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from edgesim.experiment.figure import read_figure
from edgesim.measures.student import mean_interval
from edgesim.profile.file import read_profile
from tests.shared_data import require_shared

REPOSITORY = Path(__file__).parents[1]


@cache
def rows(name: str) -> tuple[dict[str, str], ...]:
    """Read the data of a committed figure."""
    with (REPOSITORY / "figures" / f"{name}.csv").open(newline="") as file:
        return tuple(csv.DictReader(file))


def column(
    name: str, solver: str, value: float | str, outer: str = "", measure: str = ""
) -> list[float]:
    """List a measure of one solver at one value, a number a repeat."""
    found = []
    for row in rows(name):
        at = row["value"]
        here = at == value if isinstance(value, str) else float(at) == value
        if (
            here
            and row.get("solver", row.get("policy")) == solver
            and row.get("panel", row.get("second", "")) == outer
        ):
            plan = "solver" in row
            found.append(
                float(row[measure or ("in_time" if plan else "on_time_ratio")])
            )
    assert found, (name, solver, value, outer)
    return found


def percent(name: str, value: float | str, solver: str = "dp", outer: str = "") -> str:
    """Return what sharing gains in percent."""
    served = sum(column(name, solver, value, outer))
    alone = sum(column(name, f"{solver}-noshare", value, outer))
    return f"{100 * (served / alone - 1):.0f} %"


def points(name: str, policy: str, value: float | str, panel: int) -> str:
    """Return the gain of sharing in points of the share of requests in time."""
    title = read_figure(REPOSITORY / "figures" / f"{name}.toml").panel[panel].title
    with_, without = (
        column(name, one, value, title) for one in (policy, f"{policy}-noshare")
    )
    mean, half = mean_interval(
        [100 * (a - b) for a, b in zip(with_, without, strict=True)]
    )
    return f"{mean:+.1f} ± {half:.1f}"


def extra(name: str, value: float | str, *solvers: str) -> str:
    """Return how many more requests sharing serves, with intervals, and in percent."""
    cells = []
    for solver in solvers:
        served, alone = (
            column(name, one, value) for one in (solver, f"{solver}-noshare")
        )
        mean, half = mean_interval([a - b for a, b in zip(served, alone, strict=True)])
        if not any(served):
            cells.append("0 (none served)")
            continue
        cells.append(
            f"{mean:+.1f} ± {half:.1f} ({100 * (sum(served) / sum(alone) - 1):.0f} %)"
        )
    return " | ".join(cells)


def family_gain(case: str) -> str:
    """Return what is served without sharing, and what sharing adds."""
    alone = column("families", "greedy-noshare", case)
    return f"{sum(alone) / len(alone):.1f} | {extra('families', case, 'greedy')}"


def share(name: str, policy: str, value: float | str, panel: int | None = 0) -> str:
    """Return the share of requests in time."""
    title = ""
    if panel is not None:
        title = read_figure(REPOSITORY / "figures" / f"{name}.toml").panel[panel].title
    found = column(name, policy, value, title)
    return f"{100 * sum(found) / len(found):.1f} %"


def worst_ratio(solver: str, other: str, *names: str) -> float:
    """Return the least share of what another solver serves, over all values."""
    least = 1.0
    for name in names:
        for value in dict.fromkeys(row["value"] for row in rows(name)):
            mine, theirs = (
                sum(column(name, one, float(value))) for one in (solver, other)
            )
            least = min(least, mine / theirs if theirs else 1.0)
    return least


def mean_gap(solver: str, uplink: str) -> str:
    """Return the mean gap to the proven bound over all numbers of requests."""
    found = [
        float(row["gap"])
        for row in rows("gap-to-bound")
        if (row["solver"], row["second"]) == (solver, uplink)
    ]
    return f"{100 * sum(found) / len(found):.1f} %"


def proven(solver: str, uplink: str) -> str:
    """Return how many plans are proven to be optimal."""
    found = [
        row["status"] == "optimal"
        for row in rows("gap-to-bound")
        if (row["solver"], row["second"]) == (solver, uplink)
    ]
    return f"{sum(found)} of {len(found)}"


ADAPTERS = "lora-adapter-load"
LIES = {
    "host memory (vLLM, Qwen 2.5 7B, rank 16)": 0.00299,
    "host memory (vLLM, Llama 3.1 8B, rank 16)": 0.006384,
    "disk (vLLM, Qwen 2.5 7B, rank 16)": 0.015,
    "disk (vLLM, Llama 3.1 8B, rank 16)": 0.088,
    "store of a diffusion service of 2026 (median)": 4.378,
}
"""Where adapters lie, and the published load time of one in s."""

FAMILIES = {
    "frozen bottoms (`campus`)": "frozen bottoms",
    "tuned bottoms, shared top: stem and first stage of ResNet-50": (
        "tuned bottoms, shared top"
    ),
    "last stages merged: ResNet-18 and -34": "last stages merged",
    "nested ranks: six adapters of BERT-base at ranks 1, 2, 4 and 8, an H200's disk": (
        "nested ranks"
    ),
    "pool of shards: Llama 2 7B, 48 of 56 common shards and 8 of its own, times "
    "synthetic, deadline 2 s": "pool of shards",
}
"""Families of models as the page has them, and cases of the figure."""

LINES = tuple(
    f"throughput-vs-{what}"
    for what in ("bandwidth", "users", "deadline", "models", "frozen", "load-rate")
)
BOUGHT = (
    ("as it is", "greedy-noshare"),
    ("as it is", "greedy"),
    ("twice the memory", "greedy-noshare"),
    ("storage twice as fast", "greedy-noshare"),
    ("weights of half the bytes", "greedy-noshare"),
)
"""What is bought, and the policy that tells what it brings."""


FRAGMENTS: dict[str, Callable[[], str]] = {
    "bandwidth 1": lambda: f"{percent('throughput-vs-bandwidth', 1e6)} at 1 MHz",
    "bandwidth 8": lambda: f"{percent('throughput-vs-bandwidth', 8e6)} at 8 MHz",
    "bandwidth 64": lambda: f"{percent('throughput-vs-bandwidth', 64e6)} at 64 MHz",
    "deadline 0.2": lambda: f"{percent('throughput-vs-deadline', 0.2)} at 0.2 s",
    "deadline 1": lambda: f"{percent('throughput-vs-deadline', 1.0)} at 1 s",
    "deadline 2": lambda: f"{percent('throughput-vs-deadline', 2.0)} at 2 s",
    "users 8": lambda: f"{percent('throughput-vs-users', 8)} with 8 requests",
    "users 64": lambda: f"{percent('throughput-vs-users', 64)} with 64",
    "models 8": lambda: f"{percent('throughput-vs-models', 8)} with 8 models",
    "models 128": lambda: f"{percent('throughput-vs-models', 128)} with 128",
    "frozen 40": lambda: f"{percent('throughput-vs-frozen', 0.4)} where 40 % of",
    "frozen 97": lambda: f"{percent('throughput-vs-frozen', 0.97)} where 97 % are",
    "rate 0.5": lambda: f"{percent('throughput-vs-load-rate', 0.5e9)} at 0.5 GB/s",
    "rate 4": lambda: f"{percent('throughput-vs-load-rate', 4e9)} at 4 GB/s",
    "zipf 0": lambda: (
        f"{percent('throughput-vs-popularity', 0.0)} where all models are asked for "
        f"alike"
    ),
    "zipf 2": lambda: f"{percent('throughput-vs-popularity', 2.0)} at an exponent of 2",
    "upfront": lambda: f"{percent('uplink-disciplines', 16e6, 'dp', 'upfront')} with",
    "dynamic": lambda: (
        f"{percent('uplink-disciplines', 16e6, 'dp', 'dynamic')} with `dynamic`"
    ),
    "greedy worst": lambda: (
        f"{100 * worst_ratio('greedy', 'dp', *LINES):.0f} % of what `dp` serves"
    ),
    "gap dp upfront": lambda: f"{mean_gap('dp', 'upfront')} under `upfront`",
    "gap dp static": lambda: f"{mean_gap('dp', 'static')} under `static`",
    "gap dp dynamic": lambda: f"{mean_gap('dp', 'dynamic')} under `dynamic`",
    "gap greedy dynamic": lambda: f"`greedy` {mean_gap('greedy', 'dynamic')}",
    "gap local-search": lambda: f"`local-search` {mean_gap('local-search', 'dynamic')}",
    "proven upfront": lambda: f"{proven('dp', 'upfront')} plans",
    "proven dynamic": lambda: f"{proven('dp', 'dynamic')} under `dynamic`",
    "robust 1.1": lambda: f"{percent('robustness', 1.1, 'dp', 'dynamic')} at 1.1",
    "robust 1.3": lambda: f"{percent('robustness', 1.3, 'dp', 'dynamic')} at 1.3",
    "load fcfs": lambda: f"{points('online-load', 'fcfs', 1.0, 0)} for `fcfs`",
    "load greedy": lambda: f"{points('online-load', 'greedy', 1.0, 0)} for `greedy`",
    "cache greedy": lambda: f"{points('online-load', 'greedy', 1.0, 2)} at load 1",
    "cache greedy 1.5": lambda: f"{points('online-load', 'greedy', 1.5, 2)} at 1.5",
    "lora greedy": lambda: f"{points('online-lora', 'greedy', 1.0, 0)} for `greedy`",
    "lora fcfs": lambda: f"{points('online-lora', 'fcfs', 1.0, 0)} for `fcfs`",
    "pinned greedy": lambda: (
        f"{points('online-pinned', 'greedy', 1.0, 0)} for `greedy`"
    ),
    "pinned fcfs": lambda: f"{points('online-pinned', 'fcfs', 1.0, 0)} for `fcfs`",
    "share greedy": lambda: f"serves {share('online-load', 'greedy-noshare', 1.5)}",
    "share fcfs": lambda: f"`fcfs` with it {share('online-load', 'fcfs', 1.5)}",
    "share rolling": lambda: f"both: {share('online-load', 'rolling', 1.5)}",
    "memory 1": lambda: (
        f"{share('online-memory', 'greedy-noshare', 1e9, None)} with 1 GB"
    ),
    "memory 2": lambda: f"{share('online-memory', 'greedy-noshare', 2e9, None)} with 2",
    "memory shared": lambda: (
        f"{share('online-memory', 'greedy', 0.5e9, None)} with 0.5 GB"
    ),
    **{
        f"buy {panel} {what}, {policy}": (
            lambda panel=panel, what=what, policy=policy: share(
                "what-to-buy", policy, what, panel
            )
        )
        for panel in range(4)
        for what, policy in BOUGHT
    },
    **{
        f"robust {panel} at {factor}": (
            lambda panel=panel, factor=factor: share(
                "what-to-buy-robust", "greedy-noshare", factor, panel
            )
        )
        for panel in range(4)
        for factor in (0.7, 1.3)
    },
    "robust shared": lambda: (
        f"{share('what-to-buy-robust', 'greedy', 1.3, 0)} with sharing"
    ),
    **{
        f"adapters in {where}": (
            lambda where=where, load_s=load_s: (
                f"| {where} | {1e3 * load_s:g} ms | "
                f"{extra(ADAPTERS, load_s, 'dp', 'greedy')} |"
            )
        )
        for where, load_s in LIES.items()
    },
    "adapters 30 ms": lambda: (
        f"Up to 30 ms the load of an adapter hardly matters: backbones of 0.2 and 1.1 "
        f"s do, and sharing gains {percent(ADAPTERS, 0.015)} to "
        f"{percent(ADAPTERS, 0.03)}."
    ),
    "adapters disk": lambda: (
        f"From a slow disk, 88 ms, it gains {percent(ADAPTERS, 0.088)}, and at 0.3 s "
        f"{percent(ADAPTERS, 0.3)}:"
    ),
    **{
        f"family {case}": (
            lambda family=family, case=case: f"| {family} | {family_gain(case)} |"
        )
        for family, case in FAMILIES.items()
    },
    "lora as it is": lambda: (
        f"from {share('what-to-buy-lora', 'greedy-noshare', 'as it is', 0)}"
    ),
    "lora shared": lambda: (
        f"{share('what-to-buy-lora', 'greedy', 'as it is', 0)} with sharing"
    ),
    "lora memory": lambda: (
        f"{share('what-to-buy-lora', 'greedy-noshare', 'twice the memory', 0)} with "
        f"twice the memory"
    ),
    "lora half": lambda: (
        f"{share('what-to-buy-lora', 'greedy-noshare', 'weights of half the bytes', 0)}"
        f" with weights of half the bytes"
    ),
}
"""What the page says, by what it is about: the numbers are those of the data."""


@cache
def page() -> str:
    """Return the page of findings, on one line: where it breaks does not matter."""
    text = (REPOSITORY / "docs" / "findings.md").read_text(encoding="utf-8")
    return " ".join(text.split())


@pytest.mark.parametrize("about", FRAGMENTS)
def test_what_is_stated_is_what_the_data_hold(about: str) -> None:
    """A number that is no longer right is found with what it should be."""
    assert FRAGMENTS[about]() in page()


def test_sharing_gains_nothing_where_adapters_take_0_8_s() -> None:
    """The page says so of 0.8 s and beyond; at 0.5 s it still gains."""
    values = {float(row["value"]) for row in rows(ADAPTERS)}
    for solver in ("dp", "greedy"):
        for value in values:
            served = sum(column(ADAPTERS, solver, value))
            alone = sum(column(ADAPTERS, f"{solver}-noshare", value))
            assert (served > alone) == (value < 0.8)


def test_marked_load_times_are_those_of_the_table() -> None:
    """And they are published: of adapters of rank 16, and of a service's median."""
    plot = read_figure(REPOSITORY / "figures" / f"{ADAPTERS}.toml").plot
    assert [mark.x / 1e3 for mark in plot.marks] == pytest.approx([*LIES.values()])
    models = read_profile("vllm-lora-h100").models
    published = [
        (models[name].lora.adapter_load_s or {})["16"][tier].median_s
        for tier in ("pinned", "disk")
        for name in ("qwen-2.5-7b", "llama-3.1-8b")
    ]
    assert [*LIES.values()][:4] == pytest.approx(published)
    with require_shared("reference/gentd26_loads.csv").open(newline="") as file:
        (median,) = [
            float(row["p50_ms"]) / 1e3
            for row in csv.DictReader(file)
            if row["component"] == "LoRA load"
        ]
    assert [*LIES.values()][4] == pytest.approx(median)


def test_dp_is_the_optimum_where_that_is_claimed() -> None:
    """Under ``upfront`` the integer program finds nothing better, in no repeat."""
    served: dict[tuple[str, str], dict[str, tuple[str, str]]] = {}
    for row in rows("solver-time"):
        if row["panel"] == "upfront" and row["solver"] in ("dp", "ilp"):
            of = served.setdefault((row["value"], row["repeat"]), {})
            of[row["solver"]] = row["in_time"], row["status"]
    assert len(served) >= 100
    for of in served.values():
        assert of["dp"] == of["ilp"]
        assert of["dp"][1] == "optimal"
