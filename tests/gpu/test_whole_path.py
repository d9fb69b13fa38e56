"""Networks are built on the GPU, measured from all tiers, and replayed there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from edgesim import shipped
from edgesim.profile.file import read_profile
from edgesim.profiling.architecture import build_network
from edgesim.profiling.cuda_device import CudaDevice
from edgesim.profiling.inputs import example_input, forward
from tests.command import edgesim

pytestmark = pytest.mark.gpu

SMALL_LLAMA = (
    "hf:llama,hidden_size=256,num_hidden_layers=2,num_attention_heads=4,"
    "num_key_value_heads=2,intermediate_size=512,vocab_size=1000"
)

SCENARIO = """\
schema = "edgesim.scenario/1"
name = "tiny"
profile = "tiny.json"

[library]
kind = "clusters"

[[library.clusters]]
base = "net"
variants = 3
frozen_blocks = [2, 3]

[gpu]
load_from = "pinned"

[cell]
bandwidth_hz = 20e6
radius_m = 100.0

[workload]
trace = "campus.csv"
window_s = 0.5
models = "round-robin"
deadline_s = 0.5

[run]
solvers = ["dp", "greedy"]
repeats = 1
"""


def test_networks_are_built_where_they_run(gpu: CudaDevice) -> None:
    """Weights in their dtype; frequencies, which no state dict has, in float32."""
    network = build_network(SMALL_LLAMA, "bfloat16", gpu.device)
    assert {(p.device, p.dtype) for p in network.parameters()} == {
        (gpu.device, torch.bfloat16)
    }
    buffers = dict(network.named_buffers())
    rotary = next(value for name, value in buffers.items() if "inv_freq" in name)
    assert rotary.device == gpu.device
    assert rotary.dtype == torch.float32
    assert float(rotary[0]) == 1.0
    forward(network, example_input("tokens:8:1000", 2, torch.bfloat16, gpu.device))
    gpu.synchronise()


def test_a_tiny_network_is_measured_and_replayed(
    gpu: CudaDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three tiers, graphs and eager, then a plan of it; loads in order of speed."""
    monkeypatch.chdir(tmp_path)
    for name, spec, text in (
        ("tiny", "net=tests.small_networks:convnet", "3x16x16"),
        ("llama", f"llama={SMALL_LLAMA}", "tokens:16:1000"),
    ):
        done = edgesim(
            *("profile", "measure", spec, "--input", text, "--device", "cuda:0"),
            *("--batch", "1,2,4", "--repeats", "10", "--seconds", "1"),
            *("--out", f"{name}.json"),
        )
        assert done.code == 0, done.err
        print(done.out)
        profile = read_profile(Path(f"{name}.json"))
        (model,) = profile.models.values()
        assert model.tiers == ("pinned", "pageable", "disk")
        assert model.latency_mode == "graph"
        assert model.eager_latency_s is not None
        assert model.overlap is not None
        assert profile.round_s is not None
        whole = model.whole_load_s
        assert whole is not None
        assert whole["pinned"].median_s < whole["disk"].median_s
    Path("tiny.toml").write_text(SCENARIO)
    shutil.copy(shipped.data_file("traces", "campus.csv"), "campus.csv")
    done = edgesim("run", "tiny.toml", "--out", "run")
    assert done.code == 0, done.err
    done = edgesim(
        *("replay", "run/plans/0/dp.json", "--profile", "tiny.json"),
        *("--device", "cuda:0", "--repeats", "2", "--back-to-back"),
        *("--factories", "call", "--out", "replayed"),
    )
    assert done.code == 0, done.err
    print(done.out)
    assert Path("replayed/errors.md").is_file()


def test_a_language_model_in_bfloat16_is_captured(gpu: CudaDevice) -> None:
    """Twenty-two layers, grouped keys, batches of 1 to 32: each as one graph."""
    network = build_network(
        "hf:llama,hidden_size=2048,num_hidden_layers=22,num_attention_heads=32,"
        "num_key_value_heads=4,intermediate_size=5632",
        "bfloat16",
        gpu.device,
    )
    for batch in (1, 2, 4, 8, 16, 32):
        example = example_input("tokens:32:32000", batch, torch.bfloat16, gpu.device)
        graph = gpu.captured(lambda e=example: forward(network, e))  # type: ignore[misc]
        assert graph is not None
        print(batch, gpu.timed([graph] * 3))
