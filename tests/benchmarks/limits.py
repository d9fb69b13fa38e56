"""What the largest inputs take: ``python -m tests.benchmarks.limits``.

Five million requests online, a trace and a log of 1 GB shown and converted, a million
requests at one instant, 5,000 models under every policy. Needs 8 GB of disk, and half
an hour; ``--share 0.01`` takes a hundredth of everything. Each command is a process of
its own; times are of its processors, since a busy machine slows the clock.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from edgesim.names import POLICIES, SHIPPED_POLICIES
from edgesim.trace.generate import generate
from edgesim.trace.requests import write_trace
from tests.benchmarks.commands import measured

REQUESTS = 5_000_000
LOG_ROWS = 30_000_000  # 1 GB
AT_ONCE = 1_000_000
MODELS = 5_000

_SCENARIO = """
schema = "edgesim.scenario/1"
name = "limits"
profile = "clockwork-v100"

[library]
kind = "clusters"

[[library.clusters]]
base = ["resnet50"]
variants = {models}
frozen_fraction = [0.80, 0.97]

[gpu]
memory_bytes = 4_000_000_000
residency = "cache"
load_rate_bytes_per_s = 1.0e11

[cell]
bandwidth_hz = 1e9
radius_m = 200.0
carrier_hz = 3.5e9
path_loss = "umi"
tx_power_dbm = 43.0
noise_figure_db = 5.0
fading = "rayleigh"
efficiency = "shannon"
snr_gap_db = 3.0
max_spectral_efficiency = 7.4

[workload]
models = "rank"
window_s = {window_s}

[run]
seed = 1

[online]
policies = ["fcfs"]
sample_s = 10.0
"""


def _log_lines(rows: int) -> Iterator[str]:
    """Yield the rows of a log in order of arrival, some at a time."""
    rng = np.random.default_rng(5)
    now_s = 0.0
    yield "arrival_s,user,model,input_bytes,slo_s\n"
    for first in range(0, rows, 100_000):
        count = min(100_000, rows - first)
        arrival_s = now_s + np.cumsum(rng.exponential(1 / 400, count))
        now_s = float(arrival_s[-1])
        columns = (
            np.round(arrival_s, 6).tolist(),
            rng.integers(0, 1000, count).tolist(),
            np.minimum(rng.pareto(0.7, count).astype(int), 99).tolist(),
            rng.integers(1000, 200_000, count).tolist(),
        )
        yield "".join(
            f"{at!r},u{user:03},m{model:03},{size},{0.5 + 0.5 * (model % 3)}\n"
            for at, user, model, size in zip(*columns, strict=True)
        )


def _scenario(folder: Path, models: int, window_s: float) -> Path:
    path = folder / "limits.toml"
    path.write_text(_SCENARIO.format(models=models, window_s=window_s))
    return path


def _measure(what: str, folder: Path, *words: object) -> None:
    """Run a command, and print its processor time and its peak memory."""
    _, processor_s, memory_mb = measured(*words, folder=folder)
    print(f"{what:<58}{processor_s:>8.0f} s{memory_mb:>9.0f} MB", flush=True)


def _online(folder: Path, count: int) -> None:
    trace = generate(rate_per_s=400, duration_s=count / 400, slo_s=[1.0], models=12)
    write_trace(trace, folder / "trace.csv")
    scenario = _scenario(folder, 12, count / 400)
    words = ("run", scenario, "--trace", "trace.csv", "--out", "out")
    _measure(f"run, fcfs, {len(trace):,} requests", folder, *words)


def _files(folder: Path, rows: int) -> None:
    with (folder / "log.csv").open("w") as file:
        file.writelines(_log_lines(rows))
    gigabytes = (folder / "log.csv").stat().st_size / 1e9
    _measure(f"trace show, {gigabytes:.2f} GB", folder, "trace", "show", "log.csv")
    columns = ("--arrival", "arrival_s", "--model", "model", "--user", "user")
    columns += ("--size", "input_bytes", "--slo", "slo_s")
    words = ("trace", "convert", "csv", "log.csv", "out.csv", *columns)
    _measure(f"trace convert csv, {gigabytes:.2f} GB", folder, *words)


def _at_once(folder: Path, count: int) -> None:
    rng = np.random.default_rng(1)
    slo_s = rng.choice([1.0, 10.0, 60.0], count).tolist()
    model = rng.integers(0, 12, count).tolist()
    with (folder / "trace.csv").open("w") as file:
        file.write("arrival_s,user,model,input_bytes,slo_s\n")
        for k in range(count):
            file.write(f"1.0,u{k},m{model[k]:02},1000,{slo_s[k]}\n")
    scenario = _scenario(folder, 12, 100)
    for policy in SHIPPED_POLICIES:
        words = ("run", scenario, "--trace", "trace.csv", "--policy", policy)
        what = f"run, {policy}, {count:,} users at an instant"
        _measure(what, folder, *words, "--out", "out")
    for uplink in ("edf", "equal-share"):
        words = ("run", scenario, "--trace", "trace.csv", "--uplink", uplink)
        what = f"run, fcfs, {uplink}, {count:,} users at an instant"
        _measure(what, folder, *words, "--out", "out")


def _models(folder: Path, models: int) -> None:
    trace = generate(
        rate_per_s=100, duration_s=100, slo_s=[1.0], models=models, zipf=0.8
    )
    write_trace(trace, folder / "trace.csv")
    scenario = _scenario(folder, models, 100)
    for residency in ("previous", "cache"):
        words = ("run", scenario, "--trace", "trace.csv", "--residency", residency)
        every = ",".join(POLICIES)
        what = f"run, {len(POLICIES)} policies, {models:,} models, {residency}"
        _measure(what, folder, *words, "--policy", every, "--out", "out")


PARTS: dict[str, tuple[Callable[[Path, int], None], int]] = {
    "online": (_online, REQUESTS),
    "files": (_files, LOG_ROWS),
    "at-once": (_at_once, AT_ONCE),
    "models": (_models, MODELS),
}


def main(words: list[str] | None = None) -> None:
    """Measure all parts, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], default=[])
    parser.add_argument("--share", type=float, default=1.0)
    given = parser.parse_args(words)
    for name in given.parts or PARTS:
        work, size = PARTS[name]
        with tempfile.TemporaryDirectory() as folder:
            work(Path(folder), max(12, round(size * given.share)))


if __name__ == "__main__":
    main()
