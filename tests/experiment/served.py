"""A small scenario whose requests are served as they come, and what a run leaves."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

FILES = {
    ".edgesim.json",
    "summary.json",
    "requests.csv",
    "rounds.csv",
    "series.csv",
    "run.json",
    "latency.png",
    "on-time.png",
    "gpu-time.png",
    "goodput.png",
}

SCENARIO = """\
schema = "edgesim.scenario/1"
name = "served"
profile = "clockwork-v100"

[library]
kind = "clusters"

[[library.clusters]]
base = ["resnet18", "resnet50"]
variants = 4
frozen_fraction = [0.7, 0.95]

[gpu]
memory_bytes = 400_000_000
load_rate_bytes_per_s = 1e9

[cell]
bandwidth_hz = 20e6
radius_m = 100.0

[workload]
trace = "served.csv"

[online]
policies = ["fcfs", "fcfs-noshare", "greedy"]
warmup_s = 2.0
batches = 4
window_s = [4.0, 6.0]
"""


def rows_of(file: Path) -> list[dict[str, str]]:
    """Read a table."""
    with file.open(newline="") as text:
        return list(csv.DictReader(text))


def edit(file: Path, old: str, new: str) -> None:
    """Replace a text that is there."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def summary_of(folder: Path) -> Any:
    """Read a run's summary."""
    return json.loads((folder / "summary.json").read_text())
