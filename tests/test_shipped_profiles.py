"""Shipped profiles: every number against the tables it comes from."""

from __future__ import annotations

import csv

import pytest

from edgesim.profile import BlockProfile, Measured, Published, Synthetic
from edgesim.profile_file import read_profile, shipped_profiles
from tests.shared_data import require_shared

RATE_BYTES_PER_S = 12.28e9
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


def check_blocks(blocks: tuple[BlockProfile, ...], model: str, column: str) -> None:
    """Compare names, bytes and pinned loads with the table of parameter blocks."""
    table = [row for row in rows("param_blocks.csv") if row["model"] == model]
    assert [block.name for block in blocks] == [row["block"] for row in table]
    assert [block.bytes for block in blocks] == [int(row[column]) for row in table]
    for block in blocks:
        assert set(block.load_s) == {"pinned"}
        found = block.load_s["pinned"]
        expected_s = block.bytes / RATE_BYTES_PER_S
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
    assert isinstance(profile.provenance, Synthetic)
    assert "obody measured" in profile.provenance.method
    adapters = rows("lora_adapter_sizes.csv")
    for name, model in profile.models.items():
        check_blocks(model.blocks, name, "bytes_fp16")
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
        for row in table:
            per_layer = int(row["rank"]) * model.lora.bytes_per_rank[row["targets"]]
            assert per_layer == 2 * int(row["params_per_layer"])
            carriers = sum(block.startswith("layers.") for block in size)
            assert per_layer * carriers == int(row["bytes_fp16"])


def test_measured_profiles_say_so_and_how() -> None:
    """They name a command without a path, and a CPU's never looks like a GPU's."""
    found = [read_profile(name) for name in shipped_profiles()]
    measured = [p for p in found if isinstance(p.provenance, Measured)]
    assert {profile.name for profile in measured} == {"cpu-epyc", "cpu-epyc-lora"}
    for profile in measured:
        stated = profile.provenance
        assert isinstance(stated, Measured)
        assert stated.command.startswith("edgesim profile measure ")
        assert stated.command.endswith(f"--out {profile.name}.json")
        assert "/" not in stated.command
        assert "CPU, no GPU" in stated.device
        assert stated.note is not None
        assert "host copies stand in for GPU loads" in stated.note
        assert profile.copies is not None
        for model in profile.models.values():
            assert set(model.tiers) == {"pageable", "disk"}
            # Large models from disk may have too few samples for deciles.
            for block in model.blocks:
                assert block.load_s["pageable"].spread is not None


def test_measured_networks_have_the_parameters_of_the_tables() -> None:
    """Bytes are those of the parameters and buffers of the networks of these names."""
    table = {row["model"]: row for row in rows("model_summary.csv")}
    profile = read_profile("cpu-epyc")
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
    (lora,) = read_profile("cpu-epyc-lora").models.values()
    assert lora.lora is not None
    stated = lora.lora.bytes_per_rank
    short = {"q,v": "q_proj,v_proj", "q,k,v,o": "q_proj,k_proj,v_proj,o_proj"}
    adapters = [
        row
        for row in rows("lora_adapter_sizes.csv")
        if row["base_model"] == "tinyllama-1.1b" and row["targets"] in short
    ]
    assert adapters
    for row in adapters:
        per_layer = int(row["rank"]) * stated[short[row["targets"]]]
        assert per_layer == 2 * int(row["params_per_layer"])
