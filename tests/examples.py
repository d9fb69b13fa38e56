"""Small valid files that tests start from."""

from __future__ import annotations

import copy
from typing import Any

_INSTANCE: dict[str, Any] = {
    "schema": "edgesim.instance/1",
    "name": "tiny",
    "bandwidth_hz": 2e7,
    "gpu_memory_bytes": 8_000_000_000,
    "resident_model": None,
    "blocks": {
        "stem": {"bytes": 38144, "load_s": 3.1e-6},
        "cats/head": {"bytes": 2_000_000, "load_s": 0.002},
        "dogs/head": {"bytes": 2_000_000, "load_s": 0.002},
    },
    "models": {
        "cats": {
            "blocks": ["stem", "cats/head"],
            "latency_s": [0.0027, 0.0041],
            "activation_bytes": [1000, 2000],
        },
        "dogs": {"blocks": ["stem", "dogs/head"], "latency_s": [0.003]},
    },
    "users": [
        {
            "id": "u0",
            "model": "cats",
            "input_bits": 1_200_000,
            "spectral_efficiency": 3.2,
            "release_s": 0.0,
            "deadline_s": 0.5,
        },
        {
            "id": "u1",
            "model": "dogs",
            "input_bits": 1_200_000,
            "spectral_efficiency": 1.5,
            "deadline_s": 0.5,
        },
    ],
}

TRACE = """\
arrival_s,user,model,input_bytes,slo_s
0.0,ann,m000,120000,0.5
0.1,bob,m001,120000,0.5
0.1,cid,m000,90000,0.5
0.7,ann,m001,150000,0.5
"""

SCENARIO = """\
schema = "edgesim.scenario/1"
name = "small"
profile = "clockwork-v100"

[library]
kind = "clusters"

[[library.clusters]]
base = "resnet50"
variants = 3
frozen_blocks = [12, 16]

[gpu]
memory_bytes = 8_000_000_000
load_rate_bytes_per_s = 1e9

[cell]
bandwidth_hz = 20e6
radius_m = 100.0

[workload]
trace = "small.csv"
window_s = 0.5
models = "rank"

[run]
solvers = ["dp", "dp-noshare"]
repeats = 2
"""

FIGURE = """\
schema = "edgesim.figure/1"
title = "A small figure"
scenario = "small.toml"

[sweep]
parameter = "cell.bandwidth_hz"
values = [5e6, 20e6]

[plot]
x_label = "bandwidth (MHz)"
unit = 1e6
"""


def instance() -> dict[str, Any]:
    """Return a fresh instance document that a test may change."""
    return copy.deepcopy(_INSTANCE)
