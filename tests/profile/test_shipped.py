"""Shipped profiles: every number against the tables it comes from."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from edgesim.profile.file import read_profile, shipped_profiles
from edgesim.profile.fit import copy_offset_s
from edgesim.profile.values import (
    BlockProfile,
    Measured,
    Published,
    Synthetic,
    Tier,
    Timing,
)
from edgesim.text import number
from tests.shared_data import require_shared

REPOSITORY = Path(__file__).parents[2]
RATE_BYTES_PER_S = 12.28e9
COPY_S = 5e-6
RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")


def rows(name: str) -> list[dict[str, str]]:
    """Read a reference table."""
    with require_shared(f"reference/{name}").open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_shipped_profile_is_called_as_its_file() -> None:
    """A name found in a result finds the profile again; the bare name reads it."""
    assert {"clockwork-v100", "synthetic-lora"} <= set(shipped_profiles())
    for name in shipped_profiles():
        assert read_profile(name).name == name


def check_blocks(
    blocks: tuple[BlockProfile, ...], model: str, column: str, copy_s: float = 0.0
) -> None:
    """Compare names, bytes and pinned loads with the table of parameter blocks."""
    table = [row for row in rows("param_blocks.csv") if row["model"] == model]
    assert [block.name for block in blocks] == [row["block"] for row in table]
    assert [block.bytes for block in blocks] == [int(row[column]) for row in table]
    for block in blocks:
        assert set(block.load_s) == {"pinned"}
        found = block.load_s["pinned"]
        expected_s = copy_s + block.bytes / RATE_BYTES_PER_S
        assert found.median_s == pytest.approx(expected_s, rel=1e-6)
        assert found.p10_s is None
        assert found.p90_s is None


def test_clockwork_profile_is_the_published_table() -> None:
    """Every number is in the reference tables or follows by the stated formula."""
    profile = read_profile("clockwork-v100")
    assert isinstance(profile.provenance, Published)
    assert "OSDI 2020" in profile.provenance.citation
    assert tuple(profile.models) == RESNETS
    published = {row["model"]: row for row in rows("clockwork_v100.csv")}
    for name, model in profile.models.items():
        check_blocks(model.blocks, name, "bytes_fp32")
        row = published[f"{name}_v2"]
        assert row["precision"] == "2dp"
        assert dict(model.latency_s) == pytest.approx(
            {str(b): float(row[f"exec_b{b}_ms"]) / 1e3 for b in (1, 2, 4, 8, 16)},
            rel=1e-12,
        )
        assert model.activation_bytes is None


def test_clockwork_block_loads_add_up_to_the_published_transfer() -> None:
    """Within 0.05 ms for each model; bytes within 0.2 % of the listed weights."""
    published = {row["model"]: row for row in rows("clockwork_v100.csv")}
    for name, model in read_profile("clockwork-v100").models.items():
        row = published[f"{name}_v2"]
        load_ms = 1e3 * sum(block.load_s["pinned"].median_s for block in model.blocks)
        assert abs(load_ms - float(row["transfer_ms"])) < 0.05
        weights = sum(block.bytes for block in model.blocks)
        assert weights == pytest.approx(1e6 * float(row["weights_mb"]), rel=2e-3)


def test_synthetic_lora_profile_follows_its_stated_method() -> None:
    """Bytes and adapters are the tables', latencies the roofline that it states."""
    profile = read_profile("synthetic-lora")
    for copy in profile.copies or ():
        expected_s = COPY_S + copy.bytes / RATE_BYTES_PER_S
        assert copy.load_s["pinned"].median_s == pytest.approx(expected_s, rel=1e-6)
    assert copy_offset_s(profile, "pinned") == pytest.approx(COPY_S, rel=1e-4)
    assert isinstance(profile.provenance, Synthetic)
    assert "obody measured" in profile.provenance.method
    adapters = rows("lora_adapter_sizes.csv")
    for name, model in profile.models.items():
        check_blocks(model.blocks, name, "bytes_fp16", COPY_S)
        size = {block.name: block.bytes for block in model.blocks}
        layers = sum(b for block, b in size.items() if block.startswith("layers.")) / 2
        head = size["lm_head"] / 2
        read_bytes = sum(size.values()) - size["embed_tokens"]
        assert dict(model.latency_s) == pytest.approx(
            {
                str(b): max(b * 2 * (32 * layers + head) / 62.5e12, read_bytes / 720e9)
                for b in range(1, 17)
            },
            rel=1e-6,
        )
        assert model.lora is not None
        table = [row for row in adapters if row["base_model"] == name]
        assert table
        assert {row["targets"] for row in table} == set(model.lora.bytes_per_rank)
        assert model.lora.copies == {"q,v": 4, "q,k,v,o": 8, "all-linear": 14}
        for row in table:
            per_layer = int(row["rank"]) * model.lora.bytes_per_rank[row["targets"]]
            assert per_layer == 2 * int(row["params_per_layer"])
            carriers = sum(block.startswith("layers.") for block in size)
            assert per_layer * carriers == int(row["bytes_fp16"])


ARCHITECTURES = {
    # hidden size, layers, heads, key-value heads, size of a head, intermediate size,
    # vocabulary, biases of q, k and v, parameters of a layer's norms
    "llama-3.1-8b": (4096, 32, 32, 8, 128, 14336, 128256, False, 2 * 4096),
    "qwen-2.5-7b": (3584, 28, 28, 4, 128, 18944, 152064, True, 2 * 3584),
    "qwen3-32b": (5120, 64, 64, 8, 128, 25600, 151936, False, 2 * 5120 + 2 * 128),
    "deepseek-r1-distill-qwen-32b": (
        *(5120, 64, 40, 8, 128, 27648, 152064, True, 2 * 5120),
    ),
}
"""Architectures of published-lora models, as their configurations state them."""


def architecture_bytes(name: str) -> tuple[int, int, int, dict[str, int]]:
    """Compute bytes of a layer, the embedding, the norm, and adapters by targets."""
    hidden, _, heads, kv_heads, head, inner, words, biased, norms = ARCHITECTURES[name]
    q, kv = heads * head, kv_heads * head
    layer = 2 * hidden * (q + kv) + 3 * hidden * inner + norms
    if biased:
        layer += q + 2 * kv
    attention = 2 * (hidden + q) + 2 * (hidden + kv)
    ranks = {
        "q,v": 2 * ((hidden + q) + (hidden + kv)),
        "q,k,v,o": 2 * attention,
        "all-linear": 2 * (attention + 3 * (hidden + inner)),
    }
    return 2 * layer, 2 * words * hidden, 2 * hidden, ranks


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_vllm_profile_has_the_sizes_of_the_architectures(name: str) -> None:
    """Blocks and adapters by the configurations; latencies by the stated formula."""
    model = read_profile("vllm-lora-h100").models[name]
    layer, embedding, norm, ranks = architecture_bytes(name)
    layers = ARCHITECTURES[name][1]
    assert [(block.name, block.bytes) for block in model.blocks] == [
        ("embed_tokens", embedding),
        *((f"layers.{n}", layer) for n in range(layers)),
        ("norm", norm),
        ("lm_head", embedding),
    ]
    if model.lora is not None:
        assert model.lora.bytes_per_rank == ranks
        assert model.lora.copies is None
    assert model.latency_from == "synthetic-lora"
    read_bytes = embedding + norm + layers * layer
    flops_of_one = 2 * (32 * layers * layer + embedding) / 2
    assert dict(model.latency_s) == pytest.approx(
        {
            str(b): max(b * flops_of_one / 62.5e12, read_bytes / 720e9)
            for b in range(1, 17)
        },
        rel=1e-6,
    )


def test_vllm_profile_has_the_published_load_times() -> None:
    """Adapters by rank and tier; whole models; what is derived, by the stated rates."""
    profile = read_profile("vllm-lora-h100")
    assert isinstance(profile.provenance, Published)
    assert "does not state which weights are adapted" in (profile.provenance.note or "")
    tiers: dict[str, Tier] = {"host memory": "pinned", "disk": "disk"}
    wanted = {
        (row["model"].removesuffix("-instruct"), row["adapter_rank"], row["tier"]): row
        for row in rows("vllm_lora_loads.csv")
        if row["max_lora_rank"] in ("", row["adapter_rank"])
    }
    assert len(wanted) == 12
    for (name, rank, tier), row in wanted.items():
        lora = profile.models[name].lora
        assert lora is not None
        loads = {
            str(of): time for of, time in (lora.adapter_load_s or {})[rank].items()
        }
        found_ms = 1e3 * loads[tiers[tier]].median_s
        assert found_ms == pytest.approx(float(row["load_ms"]), rel=1e-9)
    benchmarks = {
        ("llama-3.1-8b", "disk"): "random/meta-llama_Llama-3.1-8B-Instruct",
        ("qwen3-32b", "pinned"): "cached/Qwen_Qwen3-32B",
        ("qwen3-32b", "disk"): "random/Qwen_Qwen3-32B",
        **{
            ("deepseek-r1-distill-qwen-32b", tier): (
                f"{place}/deepseek-ai_DeepSeek-R1-Distill-Qwen-32B"
            )
            for tier, place in (("pinned", "cached"), ("disk", "random"))
        },
    }
    published = {
        "/".join((row["machine"], row["benchmark"])): float(row["median_s"])
        for row in rows("serverlessllm_loads.csv")
    }
    sizes = {n: sum(b.bytes for b in m.blocks) for n, m in profile.models.items()}
    for name, model in profile.models.items():
        for tier in model.tiers:
            found_s = sum(block.load_s[tier].median_s for block in model.blocks)
            if (name, tier) in benchmarks:
                (expected_s,) = (
                    median_s
                    for key, median_s in published.items()
                    if f"h100_2025/{benchmarks[name, tier]}_sllm_" in key
                )
                assert (model.whole_load_s or {})[tier].median_s == expected_s
            else:
                assert tier not in (model.whole_load_s or {})
                rate = {"pinned": 54.9e9, "disk": 23.8e9}[tier]
                assert f"{rate / 1e9:g}e9 B/s" in (profile.provenance.note or "")
                expected_s = sizes[name] / rate
            assert found_s == pytest.approx(expected_s, rel=1e-5)


CPU_PROFILES = ("cpu-epyc", "cpu-epyc-lora")
GPU_PROFILES = ("h200", "h200-live", "h200-lora")


def test_measured_profiles_say_so_and_how() -> None:
    """They name their commands, and a CPU's never looks like a GPU's."""
    found = [read_profile(name) for name in shipped_profiles()]
    measured = {p.name: p for p in found if isinstance(p.provenance, Measured)}
    assert set(measured) == {*CPU_PROFILES, *GPU_PROFILES}
    for name, profile in measured.items():
        stated = profile.provenance
        assert isinstance(stated, Measured)
        assert stated.command.startswith("edgesim profile measure ")
        assert "--out /" not in stated.command
        assert profile.copies is not None
        assert stated.note is not None
        on_cpu = name in CPU_PROFILES
        assert ("CPU, no GPU" in stated.device) == on_cpu
        assert ("host copies stand in for GPU loads" in stated.note) == on_cpu
        assert ("pinned" in (stated.copy_bytes_per_s or {})) != on_cpu


def test_profiles_of_a_cpu_have_its_two_tiers() -> None:
    """Every block with deciles from memory."""
    for name in CPU_PROFILES:
        profile = read_profile(name)
        assert isinstance(profile.provenance, Measured)
        assert profile.provenance.command.endswith(f"--out {name}.json")
        assert "/" not in profile.provenance.command
        for model in profile.models.values():
            assert set(model.tiers) == {"pageable", "disk"}
            # Large models from disk may have too few samples for deciles.
            for block in model.blocks:
                assert block.load_s["pageable"].spread is not None


def test_profiles_of_a_gpu_hold_what_moves_their_numbers() -> None:
    """Driver, link and clocks; graphs beside eager batches; three runs of networks."""
    for name in GPU_PROFILES:
        profile = read_profile(name)
        stated = profile.provenance
        assert isinstance(stated, Measured)
        assert (stated.device, stated.driver) == ("NVIDIA H200", "580.159.04")
        assert {"torch", "cuda", "cudnn"} <= stated.versions.keys()
        assert {"PCIe generation", "PCIe lanes", "SM clock (MHz)", "TF32"} <= (
            stated.machine or {}
        ).keys()
        assert profile.round_s is not None
        for model in profile.models.values():
            assert model.latency_mode == "graph"
            assert model.eager_latency_s is not None
            assert model.overlap is not None
            sizes = ["1", "2", "4", "8", "16"]
            sizes += [] if name == "h200-live" else ["32"]
            assert list(model.latency_s) == sizes
            for block in model.blocks:
                assert block.load_s["pinned"].spread is not None
    for model in read_profile("h200").models.values():
        assert set(model.tiers) == {"pinned", "pageable", "disk"}
        assert all(len(b.load_s["pinned"].runs_s or ()) == 3 for b in model.blocks)


def _rows_after(heading: str) -> list[list[str]]:
    """Cells of the first table after a heading of docs/measurements.md."""
    text = (REPOSITORY / "docs" / "measurements.md").read_text(encoding="utf-8")
    after = text.partition(f"{heading}\n")[2]
    lines = after[after.index("\n|") + 1 :].partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_page_tells_the_numbers_of_the_h200() -> None:
    """Bytes, loads by tier, and batches of 1 and 32, to three digits."""
    profiles = [read_profile(name) for name in ("h200", "h200-lora")]
    models = {name: m for profile in profiles for name, m in profile.models.items()}
    rows = _rows_after("## The H200")
    assert [row[0].removesuffix(" (one run)") for row in rows] == list(models)
    for row, model in zip(rows, models.values(), strict=True):
        loads = [
            sum(b.load_s[tier].median_s for b in model.blocks)
            if tier in model.tiers
            else None
            for tier in ("pinned", "pageable", "disk")
        ]
        one, many = (model.latency_s[batch] for batch in ("1", "32"))
        eager = (model.eager_latency_s or {})["1"]
        assert isinstance(one, Timing)
        assert isinstance(many, Timing)
        seconds = [*loads, one.median_s, many.median_s, eager.median_s]
        size = sum(block.bytes for block in model.blocks)
        found = [number(size / 1e6)]
        found += [number(None if s is None else 1e3 * s) for s in seconds]
        assert row[1:] == found


def test_the_page_tells_what_replays_on_the_h200_gave() -> None:
    """Its table is that of the committed errors; sums from memory are within 2 %."""
    rows = _rows_after("### Replays on the H200")
    assert len(rows) == 9
    for row in rows:
        file = row[0].partition("](../profiles/")[2].partition(")")[0]
        lines = (
            (REPOSITORY / "profiles" / file).read_text(encoding="utf-8").splitlines()
        )
        (rounds,) = {
            line.split(" rounds")[0].split()[-1] for line in lines if " rounds," in line
        }
        start = next(n for n, line in enumerate(lines) if line.startswith("| %"))
        cells = {
            line.split("|")[1].strip(): [c.strip() for c in line.strip("|").split("|")]
            for line in lines[start:]
        }
        both, end = cells["load + compute"], cells["end of the plan"]
        wanted = [rounds, *both[2:7], end[2]]
        assert [cell.replace("−", "-") for cell in row[1:8]] == wanted
        if "pinned" in row[0]:
            assert abs(float(both[2])) <= 2.0


@pytest.mark.parametrize("name", ["cpu-epyc", "h200"])
def test_measured_networks_have_the_parameters_of_the_tables(name: str) -> None:
    """Bytes are those of the parameters and buffers of the networks of these names."""
    table = {row["model"]: row for row in rows("model_summary.csv")}
    profile = read_profile(name)
    known = {"vit-b-16": "vit_b_16", "bert-base": "bert-base-uncased"}
    for name, model in profile.models.items():
        row = table[known.get(name, name)]
        counters = sum(block.bytes for block in model.blocks) - 4 * (
            int(row["n_params"]) + int(row["n_float_buffers"])
        )
        # Batch norm counts its batches in one int64 each.
        assert counters >= 0
        assert counters % 8 == 0
        assert counters < 2000


@pytest.mark.parametrize(
    ("name", "model", "base"),
    [
        ("cpu-epyc-lora", "tinyllama-1.1b", "tinyllama-1.1b"),
        ("h200-lora", "tinyllama-1.1b", "tinyllama-1.1b"),
        ("h200-lora", "llama-7b", "llama-2-7b"),
    ],
)
def test_measured_adapters_have_the_sizes_of_the_tables(
    name: str, model: str, base: str
) -> None:
    """Bytes a layer and unit of rank, by the linear modules that are adapted."""
    lora = read_profile(name).models[model].lora
    assert lora is not None
    stated = lora.bytes_per_rank
    short = {
        "q,v": "q_proj,v_proj",
        "q,k,v,o": "q_proj,k_proj,v_proj,o_proj",
        "all-linear": ("q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj"),
    }
    adapters = [
        row
        for row in rows("lora_adapter_sizes.csv")
        if row["base_model"] == base and short.get(row["targets"]) in stated
    ]
    assert adapters
    for row in adapters:
        per_layer = int(row["rank"]) * stated[short[row["targets"]]]
        assert per_layer == 2 * int(row["params_per_layer"])
