"""Every format: valid files, which of them are damaged, and who reads them."""

from __future__ import annotations

import json
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from edgesim.campaign.state import STATE_FILE
from edgesim.profile.values import Profile
from edgesim.shipped import data_file
from tests.command import edgesim
from tests.examples import FIGURE, SCENARIO, TRACE, instance
from tests.fuzz.contents import (
    Binary,
    Checkpoint,
    Content,
    Document,
    Packed,
    Table,
    lines,
    toml,
)
from tests.replay import cases
from tests.trace.test_convert import SMALL_2019


@dataclass(frozen=True)
class Example:
    """Valid files, the ones that are damaged, and a command that reads them.

    Parameters
    ----------
    files
        Contents by name.
    damaged
        Names of those of which one is damaged.
    commands
        Command lines, one of which is drawn, with ``{}`` for the folder.
    outputs
        First parts of what may be left.
    codes
        Exit codes of a command that read the files.
    """

    files: Mapping[str, Content]
    damaged: tuple[str, ...]
    commands: tuple[tuple[str, ...], ...]
    outputs: tuple[str, ...] = ("out",)
    codes: tuple[int, ...] = (0,)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_SOLVERS = (
    *("greedy", "dp", "fcfs", "edf", "random", "exhaustive", "greedy-noshare"),
    *("dp-noshare", "local-search"),
)
_SOLVE = tuple(
    _words(f"solve {{}}/bad.json --solver {solver} --uplink {uplink} --out {{}}/out")
    for solver in _SOLVERS
    for uplink in ("dynamic", "static", "upfront")
)


def _instances() -> tuple[Example, ...]:
    full = {
        **instance(),
        "residency": "cache",
        "eviction": "furthest-next-use",
        "overlap": True,
    }
    plain = Example({"bad.json": Document(instance())}, ("bad.json",), _SOLVE)
    extended = tuple(
        words
        for words in _SOLVE
        if words[3].removesuffix("-noshare") in ("greedy", "local-search")
    )
    return (
        *(plain, plain),
        Example({"bad.json": Document(full)}, ("bad.json",), extended),
    )


def _json_of(value: Any) -> Any:
    """Turn a value into what JSON makes of it."""
    return json.loads(value.model_dump_json(exclude_none=True))


def _profile() -> Profile:
    """Make a small profile that names no code."""
    return cases.profile(architecture=None, input=None, dtype=None)


def _schedules() -> tuple[Example, ...]:
    problem = cases.problem()
    files = {
        "plan.json": Document(
            {"schema": "edgesim.schedule/1", **_json_of(cases.schedule(problem))}
        ),
        "instance.json": Document(
            {"schema": "edgesim.instance/1", **_json_of(problem)}
        ),
        "profile.json": Document(
            {"schema": "edgesim.profile/3", **_json_of(_profile())}
        ),
    }
    replay = _words(
        "replay {}/plan.json --profile {}/profile.json --device cpu --repeats 1"
        " --back-to-back --out {}/out"
    )
    return (Example(files, ("plan.json",), (replay,)),)


def _with(text: str, **more: Any) -> dict[str, Any]:
    return tomllib.loads(text) | more


_QUICK = SCENARIO.replace('["dp", "dp-noshare"]', '["fcfs", "greedy"]')
_ONLINE = {
    "policies": ["fcfs", "greedy-noshare"],
    "uplink": "equal-share",
    "late": "serve",
    "queue_limit": 1000,
    "warmup_s": 0.1,
    "batches": 2,
    "sample_s": 0.1,
    "records": "window",
    "window_s": [0.0, 0.6],
    "faults": [
        {"kind": "gpu-stall", "at_s": 0.1, "for_s": 0.05},
        {"kind": "slow-load", "at_s": 0.2, "for_s": 0.1, "factor": 3.0},
        {"kind": "link-down", "at_s": 0.1, "for_s": 0.1, "user": "ann"},
        {"kind": "burst", "at_s": 0.3, "for_s": 0.1, "factor": 2.0},
    ],
}


def scenarios() -> dict[str, dict[str, Any]]:
    """Return valid scenarios that together have every section."""
    plan = _with(_QUICK)
    rich = _with(_QUICK)
    rich["cell"] |= {
        "tx_power_dbm": 30.0,
        "path_loss": "umi",
        "carrier_hz": 3.5e9,
        "snr_gap_db": 3.0,
    }
    rich["noise"] = {"fading": True, "load_sigma": 0.1, "compute_sigma": 0.1}
    rich["gpu"] |= {"residency": "cache", "overlap": True, "eviction": "lru"}
    rich["workload"] |= {"deadline_s": 0.4, "rate_scale": 2.0}
    rich["run"] = {"solvers": ["greedy"], "repeats": 1, "seed": 3, "uplink": "dynamic"}
    online = _with(_QUICK)
    del online["workload"]["window_s"]
    online["run"] = {"repeats": 1}
    online["online"] = _ONLINE
    lora = tomllib.loads(data_file("traces", "lora-adapters.toml").read_text())
    lora["workload"]["trace"] = "small.csv"
    lora["run"] = {"solvers": ["fcfs"], "repeats": 1}
    return {"plan": plan, "rich": rich, "online": online, "lora": lora}


def _scenarios() -> tuple[Example, ...]:
    command = _words("run {}/bad.toml --out {}/out --format svg")
    return tuple(
        Example(
            {"bad.toml": toml(one), "small.csv": Table(TRACE)},
            ("bad.toml",),
            (command, command, command, _words("list models {}/bad.toml")),
        )
        for one in scenarios().values()
    )


def _figures() -> tuple[Example, ...]:
    simple = _with(FIGURE)
    rich = _with(FIGURE)
    rich |= {
        "set": {"run.solvers": ["greedy", "greedy-noshare"]},
        "second": {"parameter": "gpu.memory_bytes", "values": [1e9, 8e9]},
    }
    rich["plot"] |= {
        "y_label": "gain",
        "x_scale": "log",
        "measure": "in_time",
        "compare": "noshare",
    }
    both = []
    for figure in (simple, rich):
        files = {
            "bad.toml": toml(figure),
            "small.toml": toml(_with(_QUICK)),
            "small.csv": Table(TRACE),
        }
        command = _words("figure {}/bad.toml --jobs 1 --out {}/out --format svg")
        both.append(Example(files, ("bad.toml",), (command,)))
    return tuple(both)


def _campaign(**more: Any) -> dict[str, Any]:
    """Return a campaign of two jobs, each with more keys."""
    jobs: list[dict[str, Any]] = [
        {"name": "one", "command": "edgesim list {first}", "expected_s": 1.0},
        {
            "name": "two",
            "command": "edgesim profile show {out}/one.json --tier disk",
            "expected_s": 2,
            "after": ["one"],
        },
    ]
    return {
        "schema": "edgesim.campaign/1",
        "name": "small",
        "about": "Two jobs.",
        "words": {"first": "solvers", "second": "--device {device}"},
        "jobs": [job | more for job in jobs],
    }


def _campaigns() -> tuple[Example, ...]:
    command = _words("profile campaign {}/bad.toml --out {}/out --dry-run --device cpu")
    return (Example({"bad.toml": toml(_campaign())}, ("bad.toml",), (command,)),)


def _campaign_states() -> tuple[Example, ...]:
    """Make a campaign that is done, and that has no time to do a job again."""
    campaign = toml(_campaign(command="edgesim list solvers", expected_s=1e6))
    words = ("profile", "campaign", "{}/small.toml", "--out", "{}/out", "--device")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "small.toml").write_bytes(campaign.valid())
        finished = edgesim(*(word.replace("{}", folder) for word in words), "cpu")
        assert finished.code == 0, finished.err
        state = _content(place / "out" / STATE_FILE)
    files = {"small.toml": campaign, f"out/{STATE_FILE}": state}
    command = (*words, "cpu", "--time-limit", "1")
    return (Example(files, (f"out/{STATE_FILE}",), (command,), codes=(0, 1)),)


def _another_run(value: Any) -> Any:
    """Change every number with a fraction a little, as another run would."""
    if isinstance(value, dict):
        return {key: _another_run(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_another_run(inner) for inner in value]
    return value * 1.001 if isinstance(value, float) else value


def _profiles() -> tuple[Example, ...]:
    examples = []
    for name in ("h200-lora", "clockwork-v100", "cpu-epyc"):
        profile = json.loads(data_file("profiles", f"{name}.json").read_text())
        small = dict(list(profile["models"].items())[:2])
        for model in small.values():
            del model["blocks"][3:]
        profile["models"] = small
        files = {
            "bad.json": Document(profile),
            "good.json": Document(_another_run(profile)),
        }
        commands = (
            _words("profile show {}/bad.json"),
            _words("profile show {}/bad.json {}/good.json"),
            _words("profile show {}/bad.json --out {}/out.svg"),
            _words("profile merge {}/bad.json {}/good.json --out {}/out.json"),
        )
        examples.append(
            Example(files, ("bad.json",), commands[:2] * 10 + commands[2:], _OUTS)
        )
    own = {
        "bad.json": Document({"schema": "edgesim.profile/3", **_json_of(_profile())}),
        "small.csv": Table(TRACE.replace("m000", "net").replace("m001", "net")),
    }
    run = _words(
        "run --profile {}/bad.json --trace {}/small.csv --solver fcfs --out {}/out"
        " --format svg --memory 1GB"
    )
    examples += [Example(own, ("bad.json",), (run,))] * 3
    return tuple(examples)


_OUTS = ("out", "out.svg", "out.json", "out.csv", "out.html")


def _traces() -> tuple[Example, ...]:
    placed = "".join(
        f"{line},{more}\n"
        for line, more in zip(
            TRACE.splitlines(),
            ("spectral_efficiency,x_m,y_m", "2,1,0", "1.5,-3,9", "0,0,0", "7,1,5"),
            strict=True,
        )
    )
    examples = []
    for text in (TRACE, placed):
        files = {"bad.csv": Table(text), "small.toml": toml(_with(_QUICK))}
        commands = (
            *[_words("trace show {}/bad.csv")] * 4,
            *[_words("trace scale {}/bad.csv {}/out.csv --rate-scale 2")] * 4,
            _words("trace scale {}/bad.csv {}/out.csv --time-scale 1e4 --cv-scale 2"),
            _words("trace show {}/bad.csv --out {}/out.svg"),
            _words("run {}/small.toml --trace {}/bad.csv --out {}/out --format svg"),
        )
        examples.append(Example(files, ("bad.csv",), commands, _OUTS))
    return tuple(examples)


_SMALL_2021 = """\
app,func,end_timestamp,duration
a,f,10.5,0.5
a,g,10.9,0.25
b,h,12.0,1.5
a,f,99.0,20.0
"""
_SMALL_LLM = """\
TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.9951690,396,109
2023-11-16 18:15:51.2225670,879,55
"""
_LOG = """\
t,m,u,b,d
1000,cats,ann,1200,0.5
1001.5,dogs,bob,900,1
1003,cats,ann,1500,2.5
"""


def _logs() -> tuple[Example, ...]:
    rows = [
        {"timestamp": 0, "input_length": 6758, "output_length": 500, "hash_ids": [1]},
        {"timestamp": 3052, "input_length": 7322, "output_length": 490, "hash_ids": []},
    ]
    events = [
        {"t": "2023-01-05T10:00:00Z", "m": {"name": "cats"}, "b": 7},
        {"t": "2023-01-05T10:00:01.5Z", "m": {"name": "dogs"}, "b": 1e3},
    ]

    def of(content: Content, options: str) -> Example:
        form, _, more = options.partition(" ")
        words = _words(f"trace convert {form} {{}}/in {{}}/out.csv {more}")
        return Example({"in": content}, ("in",), (words,), _OUTS)

    log = "csv --arrival t --model m --user u --size b --slo d"
    return (
        of(Table(SMALL_2019), "azure-functions-2019 --slo-s 1"),
        of(Table(_SMALL_2021), "azure-functions-2021 --slo-s 1"),
        of(Table(_SMALL_LLM), "azure-llm-2023 --slo-s 1 --spread-ties"),
        of(lines(rows), "mooncake --slo-s 1 --models 3"),
        of(Table(_LOG), log),
        of(Table(_LOG), f"{log} --decimal . --arrival-unit ms --size-unit KiB"),
        of(Packed(Table(_LOG)), log),
        of(
            lines(events),
            "jsonl --arrival t --model m.name --size b --arrival-unit iso --slo-s 1",
        ),
    )


def _tensors(seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    shared = np.arange(300, dtype=np.float32)
    return {"stem.weight": shared, "head.weight": rng.random((10, 20), np.float32)}


def _checkpoint(seed: int) -> Checkpoint:
    whole = save(_tensors(seed), metadata={"format": "pt"})
    length = int.from_bytes(whole[:8], "little")
    return Checkpoint(json.loads(whole[8 : 8 + length]), whole[8 + length :])


@cache
def _pickled(seed: int) -> bytes:
    torch: Any = __import__("torch")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.pt"
        torch.save({k: torch.tensor(v) for k, v in _tensors(seed).items()}, path)
        return path.read_bytes()


def _checkpoints() -> tuple[Example, ...]:
    show = (
        _words("profile sharing {}/a {}/b"),
        _words("profile sharing {}/a {}/b --json"),
        _words("profile sharing {}/a {}/b --all --memory 1GB"),
        _words("profile sharing {}/a {}/b --load-rate 1e9 --out {}/out.json"),
    )
    index = {
        "metadata": {"total_size": 2000},
        "weight_map": dict.fromkeys(_tensors(0), "model-00001.safetensors"),
    }
    adapter = {"base_model_name_or_path": "base", "peft_type": "LORA", "r": 8}
    config = {"architectures": ["Net"], "model_type": "net", "hidden_size": 8}
    plain = {
        "a/model.safetensors": _checkpoint(0),
        "b/model.safetensors": _checkpoint(1),
        "a/config.json": Document(config),
    }
    parts = {
        "a/model-00001.safetensors": _checkpoint(0),
        "a/model.safetensors.index.json": Document(index),
        "b/model.safetensors": _checkpoint(1),
    }
    adapters = {
        "a/adapter_model.safetensors": _checkpoint(0),
        "a/adapter_config.json": Document(adapter),
        "b/adapter_model.safetensors": _checkpoint(1),
        "b/adapter_config.json": Document(adapter),
        "base/model.safetensors": _checkpoint(2),
    }
    return (
        Example(plain, ("a/model.safetensors", "a/config.json"), show, _OUTS),
        Example(plain, ("a/model.safetensors",), show, _OUTS),
        Example(parts, ("a/model.safetensors.index.json",), show, _OUTS),
        Example(
            adapters,
            ("a/adapter_config.json", "a/adapter_model.safetensors"),
            (_words("profile sharing {}/a {}/b --base {}/base"),),
            _OUTS,
        ),
    )


def _pickles() -> tuple[Example, ...]:
    files = {"a.pt": Binary(_pickled(0)), "b.pt": Binary(_pickled(1))}
    return (Example(files, ("a.pt",), (_words("profile sharing {}/a.pt {}/b.pt"),)),)


def _content(path: Path) -> Content:
    if path.suffix == ".json":
        return Document(json.loads(path.read_text()))
    if path.suffix == ".csv":
        return Table(path.read_text())
    if path.suffix == ".jsonl":
        return Binary(path.read_bytes())
    return Binary(path.read_bytes())


@cache
def _results(name: str) -> dict[str, Content]:
    """Run a scenario, and return its files and those it leaves."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "small.toml").write_bytes(toml(scenarios()[name]).valid())
        (place / "small.csv").write_text(TRACE)
        words = ("run", place / "small.toml", "--out", place / "run", "--format", "svg")
        finished = edgesim(*words)
        assert finished.code == 0, finished.err
        return {
            path.relative_to(place).as_posix(): _content(path)
            for path in sorted(place.rglob("*"))
            if path.is_file()
        }


def _run_folders() -> tuple[Example, ...]:
    read = ("summary.json", "run.json", "requests.csv", "rounds.csv")
    report = _words("report {}/run --out {}/out.html")
    examples = []
    for name, more in (("plan", ()), ("online", ("series.csv",))):
        files = _results(name)
        damaged = tuple(f"run/{one}" for one in (*read, *more))
        examples.append(Example(files, damaged, (report,), _OUTS))
    plan = _results("plan")
    again = _words("run {}/small.toml --out {}/run --format svg --solver fcfs")
    plans = tuple(one for one in plan if one.startswith("run/plans/0/"))
    manifest = ("run/.edgesim.json", "run/run.json")
    examples.append(Example(plan, manifest, (again,), ("run",)))
    examples.append(Example(plan, plans, (report,), _OUTS))
    return tuple(examples)


@cache
def _figure_results() -> dict[str, Content]:
    """Compute a figure, and return its files and those it leaves."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "fig.toml").write_bytes(toml(_with(FIGURE)).valid())
        (place / "small.toml").write_bytes(toml(_with(_QUICK)).valid())
        (place / "small.csv").write_text(TRACE)
        words = ("figure", place / "fig.toml", "--jobs", 1, "--format", "svg")
        finished = edgesim(*words)
        assert finished.code == 0, finished.err
        return {
            path.relative_to(place).as_posix(): _content(path)
            for path in sorted(place.rglob("*"))
            if path.is_file()
        }


def _figure_folders() -> tuple[Example, ...]:
    files = _figure_results()
    tables = ("fig.csv", "fig.times.csv", "fig.shown.csv", "fig.toml")
    points = tuple(one for one in files if one.startswith(".points/"))
    report = _words("report {}/fig.toml --out {}/out.html")
    again = _words("figure {}/fig.toml --jobs 1 --format svg")
    left = ("fig.csv", "fig.times.csv", "fig.shown.csv", "fig.svg", ".points")
    return (
        *[Example(files, tables, (report,), _OUTS)] * 4,
        Example(files, points, (again,), left),
    )


FORMATS = {
    "instance JSON": _instances,
    "schedule JSON": _schedules,
    "profile JSON": _profiles,
    "scenario TOML": _scenarios,
    "figure TOML": _figures,
    "campaign TOML": _campaigns,
    "campaign state": _campaign_states,
    "trace CSV": _traces,
    "request logs": _logs,
    "safetensors": _checkpoints,
    "PyTorch pickles": _pickles,
    "run folders": _run_folders,
    "figure folders": _figure_folders,
}
"""What makes the examples of a format, by its name."""
