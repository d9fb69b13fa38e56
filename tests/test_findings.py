"""The page of findings: every number in it is computed here from the figures' data."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from statistics import mean

import pytest

from edgesim.experiment.figure import read_figure
from edgesim.measures.intervals import Estimate
from edgesim.measures.point import mean_over
from edgesim.measures.student import mean_interval
from edgesim.profile.file import read_profile
from tests.shared_data import require_shared

REPOSITORY = Path(__file__).parents[1]


@cache
def rows(name: str) -> tuple[dict[str, str], ...]:
    """Read the data of a committed figure."""
    with (REPOSITORY / "figures" / f"{name}.csv").open(newline="") as file:
        return tuple(csv.DictReader(file))


def columns(
    name: str, solver: str, value: float | str, outer: str = ""
) -> list[dict[str, float]]:
    """List the numbers of one solver at one value, a row a repeat."""
    found = []
    for row in rows(name):
        at = row["value"]
        here = at == value if isinstance(value, str) else float(at) == value
        if (
            here
            and row.get("solver", row.get("policy")) == solver
            and row.get("panel", row.get("second", "")) == outer
        ):
            known = {key: text for key, text in row.items() if _is_number(text)}
            found.append({key: float(text) for key, text in known.items()})
    assert found, (name, solver, value, outer)
    return found


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?[0-9].*", text) is not None


def column(
    name: str, solver: str, value: float | str, outer: str = "", measure: str = ""
) -> list[float]:
    """List a measure of one solver at one value, a number a repeat."""
    found = columns(name, solver, value, outer)
    return [row[measure or "in_time"] for row in found]


def percent(name: str, value: float | str, solver: str = "dp", outer: str = "") -> str:
    """Return what sharing gains in percent."""
    served = sum(column(name, solver, value, outer))
    alone = sum(column(name, f"{solver}-noshare", value, outer))
    return f"{100 * (served / alone - 1):.0f} %"


def panel_title(name: str, panel: int | None) -> str:
    """Return the title of a panel by number; none where a figure has one axes."""
    if panel is None:
        return ""
    return read_figure(REPOSITORY / "figures" / f"{name}.toml").panel[panel].title


def points(name: str, policy: str, value: float | str, panel: int) -> str:
    """Return the gain of sharing in points of the share of requests in time."""
    found = gain(name, policy, value, panel)
    assert found.mean is not None
    assert found.half_width is not None
    return f"{100 * found.mean:+.1f} ± {100 * found.half_width:.1f}"


def gain(name: str, policy: str, value: float | str, panel: int) -> Estimate:
    """Estimate what sharing adds to the share of requests in time, as figures do."""
    title = panel_title(name, panel)
    with_, without = (
        columns(name, one, value, title) for one in (policy, f"{policy}-noshare")
    )
    return mean_over(with_, "on_time_ratio", online=True, others=without)


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
    """Return the share of requests in time, as the figure shows it."""
    found = columns(name, policy, value, panel_title(name, panel))
    in_time = mean_over(found, "on_time_ratio", online=True).mean
    assert in_time is not None
    return f"{100 * in_time:.1f} %"


def worst_ratio(solver: str, other: str, *names: str) -> float:
    """Return the least share of what another solver serves, over all values."""
    least = 1.0
    for name in names:
        places = {(row["value"], row.get("second", "")) for row in rows(name)}
        for value, second in places:
            mine, theirs = (
                sum(column(name, one, float(value), second)) for one in (solver, other)
            )
            least = min(least, mine / theirs if theirs else 1.0)
    return least


def mean_time_s(solver: str, uplink: str, users: int) -> float:
    """Return the mean time of a plan of the figure of solver times."""
    place = (uplink, solver, f"{users}")
    return mean(
        float(row["runtime_s"])
        for row in rows("solver-time.times")
        if (row["panel"], row["solver"], row["value"]) == place
    )


def time_growth(uplink: str) -> str:
    """Return how many times as long ``dp`` takes for 480 requests as for 8."""
    few, many = (mean_time_s("dp", uplink, users) for users in (8, 480))
    return f"{many / few:.0f} times under `{uplink}`"


def greedy_times() -> str:
    """Return how long ``greedy`` takes for few requests and for many."""
    few, many = (
        [mean_time_s("greedy", uplink, users) for uplink in ("upfront", "dynamic")]
        for users in (8, 480)
    )
    return (
        f"`greedy` takes {1000 * min(few):.0f} to {1000 * max(few):.0f} ms for 8 "
        f"requests and at most {max(many):.2f} s for 480"
    )


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
    for what in (
        "bandwidth",
        "users",
        "deadline",
        "models",
        "popularity",
        "frozen",
        "load-rate",
    )
)
THROUGHPUT = (*LINES, "uplink-disciplines", "robustness")
BOUGHT = (
    ("as it is", "greedy-noshare"),
    ("twice the memory", "greedy-noshare"),
    ("storage twice as fast", "greedy-noshare"),
    ("weights of half the bytes", "greedy-noshare"),
    ("as it is", "greedy"),
)
"""What is bought, and the policy that tells what it brings: a column of the table."""


def bought(panel: int) -> str:
    """Return a row of the table of what is bought."""
    found = [share("what-to-buy", policy, what, panel) for what, policy in BOUGHT]
    return f"| {panel_title('what-to-buy', panel)} | {' | '.join(found)} |"


def robust(panel: int) -> str:
    """Return a row of the table of load times that are wrong."""
    name = "what-to-buy-robust"
    found = [share(name, "greedy-noshare", factor, panel) for factor in (0.7, 1.3)]
    return f"| {panel_title(name, panel)} | {' | '.join(found)} |"


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
        f"{100 * worst_ratio('greedy', 'dp', *THROUGHPUT):.0f} % of what `dp` serves"
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
    **{f"buy {panel}": partial(bought, panel) for panel in range(4)},
    **{f"robust {panel}": partial(robust, panel) for panel in range(4)},
    "time upfront": lambda: time_growth("upfront"),
    "time dynamic": lambda: (
        f"{time_growth('dynamic')}, to {mean_time_s('dp', 'dynamic', 480):.2f} s"
    ),
    "time greedy": greedy_times,
    "rate 0.25": lambda: f"{percent('throughput-vs-load-rate', 0.25e9)} at 0.25 GB/s",
    "static": lambda: (
        f"{percent('uplink-disciplines', 16e6, 'dp', 'static')} with `static`"
    ),
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


POLICIES = ("fcfs", "edf", "clockwork", "greedy", "rolling")
LOADS = (0.5, 0.75, 1.0, 1.25, 1.5)


def in_time(name: str, policy: str, load: float, panel: int) -> float:
    """Return the share of requests in time, in percent."""
    return float(share(name, policy, load, panel).removesuffix(" %"))


def in_points(name: str, policy: str, load: float, panel: int) -> float:
    """Return the gain of sharing in points, without its interval."""
    return float(points(name, policy, load, panel).partition(" ")[0])


def in_percent(name: str, value: float, second: str = "") -> int:
    """Return the gain of sharing of ``dp`` in percent."""
    return int(percent(name, value, "dp", second).removesuffix(" %"))


def test_sharing_gains_as_much_as_is_said_without_numbers_of_plans() -> None:
    """Where it gains most, and where hardly anything."""
    rates = (0.25e9, 0.5e9, 1e9, 2e9, 4e9, 8e9, 16e9)
    by_rate = [in_percent("throughput-vs-load-rate", rate) for rate in rates]
    assert max(by_rate) == by_rate[1]
    assert by_rate[-2:] == [0, 0]
    for band in (4e6, 8e6, 16e6, 32e6, 64e6):
        gains = [
            in_percent("uplink-disciplines", band, uplink)
            for uplink in ("upfront", "static", "dynamic")
        ]
        assert gains == sorted(gains)
    for band in (1e6, 2e6):
        gains = [
            in_percent("uplink-disciplines", band, uplink)
            for uplink in ("upfront", "static", "dynamic")
        ]
        assert max(gains) - min(gains) <= 2


def test_load_times_that_are_too_long_cost_and_others_do_not() -> None:
    """Nothing is lost where loads are faster than planned, and nothing gained."""
    for uplink in ("upfront", "static", "dynamic"):
        for solver in ("dp", "dp-noshare"):
            served = [
                sum(column("robustness", solver, factor, uplink))
                for factor in (0.7, 0.9, 1.0, 1.1, 1.3)
            ]
            assert served[0] == served[1] == served[2] > served[3] > served[4]


def test_sharing_pays_at_the_deadlines_that_are_named() -> None:
    """On an H200 up to 50 ms from pinned memory, and from 0.2 to 1 s from disk."""
    for panel, pays in (
        ("H200, pinned memory", (0.01, 0.02, 0.05)),
        ("H200, disk", (0.2, 0.5, 1.0)),
    ):
        for deadline_s in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0):
            served, alone = (
                sum(column("gpu-tiers", solver, deadline_s, panel))
                for solver in ("dp", "dp-noshare")
            )
            assert (served > 1.02 * alone) == (deadline_s in pays)


def test_policies_on_flash_are_as_is_said() -> None:
    """What item 1, 2 and 4 say of all policies, and that ``edf`` is ``fcfs``."""
    name = "online-load"
    for policy in POLICIES:
        assert 1.5 <= in_points(name, policy, 0.5, 0) <= 2.5
    for load in (1.0, 1.25, 1.5):
        others = [in_points(name, policy, load, 0) for policy in POLICIES[2:]]
        ratios = [in_points(name, "fcfs", load, 0) / other for other in others]
        assert 1.6 <= min(ratios) <= max(ratios) <= 2.6
    for load in LOADS:
        by_policy = {policy: in_time(name, policy, load, 0) for policy in POLICIES}
        assert max(by_policy.values()) == by_policy["rolling"]
        assert min(by_policy.values()) == by_policy["fcfs"] == by_policy["edf"]
        for twin in ("", "-noshare"):
            for policy in POLICIES:
                for alone in (0, 2):
                    with_, without = (
                        in_time(name, policy + twin, load, panel)
                        for panel in (alone + 1, alone)
                    )
                    assert -0.15 < with_ - without < 3.05
        cached = [in_time(name, policy, load, 2) for policy in POLICIES]
        assert 92.5 <= min(cached) <= max(cached) < 94.5
        assert max(cached) - min(cached) <= 0.1
    found = [float(row["compute_share"]) for row in rows(name)]
    assert f"{100 * mean(found):.0f} %" == "3 %"


def test_adapters_and_pinned_memory_are_as_is_said() -> None:
    """What items 5, 6 and 8 say of other loads than 1."""
    gains = [in_points("online-lora", "greedy", load, 0) for load in LOADS]
    assert gains == sorted(gains)
    for load in LOADS:
        fcfs, clockwork = (
            in_time("online-lora", policy, load, 0) for policy in ("fcfs", "clockwork")
        )
        assert clockwork < fcfs
        for policy in POLICIES:
            for twin in ("", "-noshare"):
                without, with_ = (
                    in_time("online-lora", policy + twin, load, panel)
                    for panel in (0, 1)
                )
                assert round(abs(with_ - without), 1) <= 1
    for panel in (0, 1):
        for policy in POLICIES:
            assert 0.5 <= in_points("online-pinned", policy, 1.5, panel) < 3.5


def test_sharing_brings_as_much_as_the_best_hardware_with_a_cache() -> None:
    """And whatever is bought beside it brings little more; without one it does not."""
    name = "what-to-buy"
    for panel in range(4):
        alone, *hardware = (
            columns(name, "greedy-noshare", what, panel_title(name, panel))
            for what in dict(BOUGHT)
        )
        sharing, *both = (
            columns(name, "greedy", what, panel_title(name, panel))
            for what in dict(BOUGHT)
        )
        of = [
            mean_over(one, "on_time_ratio", online=True).mean or 0.0
            for one in (alone, sharing, *hardware)
        ]
        if panel < 2:
            assert of[1] >= max(of)
            for one in both:
                more = mean_over(one, "on_time_ratio", online=True, others=sharing)
                assert (more.mean or 0.0) < 0.002
        else:
            memory, storage, weights = of[2:]
            assert memory == of[0] < of[1] < min(storage, weights)
