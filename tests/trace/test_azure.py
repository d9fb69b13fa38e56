"""A minute of a real trace against a hundred models: the full set of outputs."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from edgesim.storage.manifest import MANIFEST
from tests.command import edgesim
from tests.shared_data import require_shared

SCENARIO = """\
schema = "edgesim.scenario/1"
name = "azure-minute"
profile = "clockwork-v100"

[library]
kind = "clusters"

[[library.clusters]]
base = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]
variants = 20
frozen_fraction = [0.7, 0.95]

[gpu]
memory_bytes = 16_000_000_000
load_rate_bytes_per_s = 1e9

[cell]
bandwidth_hz = 100e6
radius_m = 200.0
snr_gap_db = 3.0

[workload]
trace = "minute.csv"
window_s = 60.0
models = "rank"
deadline_s = 5.0

[run]
solvers = ["dp", "dp-noshare", "greedy", "greedy-noshare"]
"""


def test_one_minute_of_azure_functions(tmp_path: Path) -> None:
    """One minute of Azure Functions 2019 on 100 ResNet variants runs end to end."""
    source = require_shared("requests/azure_functions_2019_sample100_inv.csv")
    trace = tmp_path / "minute.csv"
    finished = edgesim(
        *("trace", "convert", "azure-functions-2019", source, trace),
        *("--slo-s", 5, "--input-bytes", 120000, "--users", 500),
        *("--start-s", 36000, "--duration-s", 60),
    )
    assert finished.code == 0, finished.err
    (tmp_path / "azure.toml").write_text(SCENARIO)
    finished = edgesim("run", tmp_path / "azure.toml", "--out", tmp_path / "out")
    assert finished.code == 0, finished.err
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        *("summary.json", "requests.csv", "rounds.csv", "run.json"),
        *("throughput.png", "timeline.png", "perfetto.json", "plans", MANIFEST),
    }
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["library"]["models"] == 100
    with trace.open(newline="") as text:
        requests = sum(1 for _ in csv.DictReader(text))
    assert summary["requests"] == [requests]
    assert requests == 705
    for solver in summary["solvers"].values():
        outcomes = [solver[o]["values"][0] for o in ("in_time", "late", "dropped")]
        assert sum(outcomes) == requests
    dp, alone = (summary["solvers"][name] for name in ("dp", "dp-noshare"))
    # The few models that get most calls leave sharing nothing to gain here.
    assert dp["in_time"]["mean"] >= alone["in_time"]["mean"] > 0
