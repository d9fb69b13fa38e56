"""A small real network, its profile, and a library of its fine-tunes."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch

from edgesim.live.device import PoolDevice, pool_bytes
from edgesim.live.stage import Stage, make_stage
from edgesim.profile.file import write_profile
from edgesim.profile.values import Profile
from edgesim.profiling.builder import builder
from edgesim.profiling.device import CpuDevice
from solvers import Problem
from solvers.core.tables import Tables
from tests.small_networks import FIRST_LAYER, HEAD, LATER_LAYER

SIZES = {
    "layers.0": FIRST_LAYER,
    "layers.1": LATER_LAYER,
    "layers.2": LATER_LAYER,
    "layers.3": LATER_LAYER,
    "head": HEAD,
}
SCENARIO = """
schema = "edgesim.scenario/1"
name = "small"
profile = "small.json"
[library]
kind = "clusters"
[[library.clusters]]
base = "net"
variants = 3
frozen_blocks = 2
[gpu]
load_from = "pageable"
[cell]
bandwidth_hz = 20e6
radius_m = 200.0
[workload]
trace = "small.csv"
models = "name"
[online]
policies = ["fcfs", "greedy"]
late = "serve"
batches = 2
sample_s = 0.5
"""

LOAD_S, ONE_S, FOUR_S = 0.0001, 0.002, 0.004


def profile(**changes: Any) -> Profile:
    """Make a profile of the model ``net``, as if measured with the threads of now.

    Parameters
    ----------
    changes
        Keys of the model that are replaced, or left out if None.
    """
    model = {
        "blocks": [
            {"name": name, "bytes": size, "load_s": {"pageable": {"median_s": LOAD_S}}}
            for name, size in SIZES.items()
        ],
        "latency_s": {"1": ONE_S, "4": FOUR_S},
        "architecture": "tests.small_networks:convnet",
        "input": "3x16x16",
        "dtype": "float32",
    } | changes
    return Profile.model_validate(
        {
            "name": "small",
            "provenance": {
                "kind": "measured",
                "device": "a board",
                "driver": "none",
                "versions": {"torch": torch.__version__},
                "date": "2026-11-27",
                "command": "edgesim profile measure tests.small_networks:convnet",
                "machine": {"torch threads": str(torch.get_num_threads())},
            },
            "models": {"net": {k: v for k, v in model.items() if v is not None}},
        }
    )


def problem(variants: int = 3, frozen: int = 2, **changes: Any) -> Problem:
    """Make fine-tunes of ``net`` that share its first layers, and ``net`` itself."""
    blocks = {f"net/{name}": size for name, size in SIZES.items()}
    models = {"net": [f"net/{name}" for name in SIZES]}
    for number in range(1, variants + 1):
        model = f"net-v{number:02}"
        own = {
            f"{'net' if at < frozen else model}/{name}": size
            for at, (name, size) in enumerate(SIZES.items())
        }
        blocks |= own
        models[model] = list(own)
    return Problem.model_validate(
        {
            "name": "small",
            "bandwidth_hz": 1e6,
            "blocks": {
                name: {"bytes": size, "load_s": LOAD_S} for name, size in blocks.items()
            },
            "models": {
                name: {"blocks": of, "latency_s": [ONE_S, FOUR_S, FOUR_S, FOUR_S]}
                for name, of in models.items()
            },
            "users": [],
        }
        | changes
    )


def cpu() -> CpuDevice:
    """Open the device."""
    return CpuDevice(torch.device("cpu"))


def stage(problem: Problem, profile_: Profile | None = None) -> Stage:
    """Build all models of a library."""
    device = cpu()
    return make_stage(
        "small.json",
        problem,
        profile() if profile_ is None else profile_,
        device,
        "pageable",
        builder(device),
    )


def pool_device(tables: Tables, *, packed: bool = False) -> PoolDevice:
    """Make a device with a pool of its own."""
    buffer = torch.zeros(pool_bytes(tables, packed=packed), dtype=torch.uint8)
    return PoolDevice(stage(tables.problem), cpu(), tables, buffer, packed=packed)


def write_files(
    scenario: str = SCENARIO,
    *,
    rate_per_s: float = 40,
    slo_s: float = 60,
    **changes: Any,
) -> None:
    """Write a scenario, its profile and 4 s of requests into the current folder."""
    rng = random.Random(1)
    rows = ["arrival_s,user,model,input_bytes,slo_s,spectral_efficiency"]
    arrival_s = 0.0
    while arrival_s < 4:
        arrival_s += rng.expovariate(rate_per_s)
        model = f"net-v0{rng.randrange(1, 4)}"
        rows.append(f"{arrival_s:.6f},u,{model},1000,{slo_s},2.0")
    Path("small.csv").write_text("\n".join(rows) + "\n")
    Path("small.toml").write_text(scenario)
    write_profile(Path("small.json"), profile(**changes))
