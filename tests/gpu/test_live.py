"""Requests are served live on the GPU, by graphs and operator by operator."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgesim.profiling.cuda_device import CudaDevice
from tests.command import edgesim

pytestmark = pytest.mark.gpu

BERT = "net=hf:bert,hidden_size=256,num_hidden_layers=4,num_attention_heads=4"

SCENARIO = """\
schema = "edgesim.scenario/1"
name = "small"
profile = "small.json"

[library]
kind = "clusters"

[[library.clusters]]
base = "net"
variants = 6
frozen_fraction = 0.6

[gpu]
load_from = "pinned"
residency = "cache"
memory_bytes = 120_000_000

[cell]
bandwidth_hz = 400e6
radius_m = 50.0

[workload]
trace = "online.csv"
models = "round-robin"
rate_scale = 4.0

[online]
policies = ["fcfs", "greedy", "greedy-noshare"]
late = "serve"
batches = 2
sample_s = 0.5
"""


def test_requests_are_served_live(
    gpu: CudaDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every model answers as the one built by itself, however batches are launched."""
    monkeypatch.chdir(tmp_path)
    gpu.release()
    done = edgesim(
        *("profile", "measure", BERT, "--device", "cuda:0", "--threads", "1"),
        *("--tiers", "pinned", "--batch", "1,2,4", "--repeats", "10"),
        *("--seconds", "0.1", "--out", "small.json"),
    )
    assert done.code == 0, done.err
    Path("small.toml").write_text(SCENARIO)
    overlap = "--set", "gpu.overlap=true"
    for number, (options, launched) in enumerate(
        (
            ((), "graph"),
            (("--no-graphs",), "eager"),
            (overlap, "graph"),
            ((*overlap, "--no-graphs"), "eager"),
        )
    ):
        out = Path(f"live-{number}")
        done = edgesim(
            *("live", "small.toml", "--duration-s", "1", "--out", out, *options)
        )
        assert done.code == 0, done.err
        found = json.loads((out / "live.json").read_text())
        assert found["batches"] == launched
        for name, policy in found["policies"].items():
            print(launched, name, policy["live"], policy["closed"], policy["time"])
            assert policy["copied_bytes"] > 0
            assert policy["live"]["on_time_ratio"] > 0.5
            assert number > 1 or policy["time"]["both_s"] == 0
