"""Families of the literature as libraries: blocks, bytes, sharing and refusals."""

from __future__ import annotations

import csv
import tomllib
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from edgesim.errors import InputError
from edgesim.library.build import Library, build_library
from edgesim.library.sharing import is_laminar
from edgesim.profile.file import read_profile
from edgesim.profile.values import Profile
from edgesim.scenario.library import LibrarySpec, LoadSource
from tests.library.toy import ADAPTERS, TOY, counted_profile
from tests.shared_data import require_shared

SPEC: TypeAdapter[LibrarySpec] = TypeAdapter(LibrarySpec)


def build(toml: str, profile: Profile = TOY, seed: int = 1, **load: Any) -> Library:
    """Build the library of a scenario's text."""
    spec = SPEC.validate_python(tomllib.loads(toml)["library"])
    return build_library(spec, profile, LoadSource(**load), np.random.default_rng(seed))


def parameters(model: str) -> dict[str, int]:
    """Read the parameters of a model's blocks from the reference table."""
    with require_shared("reference/param_blocks.csv").open(newline="") as file:
        return {
            row["block"]: int(row["n_params"])
            for row in csv.DictReader(file)
            if row["model"] == model
        }


def distinct(library: Library) -> int:
    """Add up the bytes of all blocks, each once."""
    return sum(block.bytes for block in library.blocks.values())


TOP = """
[library]
kind = "clusters"
[[library.clusters]]
base = "cat"
variants = 2
shares = "top"
"""


@pytest.mark.parametrize(
    ("depth", "shared"),
    [
        ("frozen_blocks = 2", 2),
        ("frozen_fraction = 0.34", 1),
        ("frozen_bytes_fraction = 0.5", 1),
        ("frozen_bytes_fraction = 0.9", 2),
        ("frozen_bytes_fraction = 1.0", 3),
    ],
)
def test_tops_are_shared_from_the_output_side(depth: str, shared: int) -> None:
    """The last blocks, of 3000, 2000 and 1000 bytes, are the base's; others are own."""
    library = build(TOP + depth + "\n")
    names = ("in", "mid", "out")
    for model in ("cat-v01", "cat-v02"):
        owners = [model] * (3 - shared) + ["cat"] * shared
        assert library.models[model].blocks == tuple(
            f"{owner}/{name}" for owner, name in zip(owners, names, strict=True)
        )
    assert is_laminar(library)


def test_first_blocks_of_resnet_50_are_tuned_under_a_shared_top() -> None:
    """Stem and first stage, as surgical fine-tuning tunes them, by the table."""
    table = parameters("resnet50")
    tuned = {
        name: n for name, n in table.items() if name == "stem" or name[:7] == "layer1."
    }
    assert len(tuned) == 4
    library = build(
        TOP.replace('"cat"', '"resnet50"').replace("variants = 2", "variants = 12")
        + f"frozen_blocks = {len(table) - len(tuned)}\n",
        read_profile("clockwork-v100"),
    )
    own, all_of = 4 * sum(tuned.values()), 4 * sum(table.values())
    assert distinct(library) == all_of + 11 * own
    assert own / all_of == pytest.approx(0.0089, abs=1e-4)


RANKS = ADAPTERS.replace("rank = 4", "ranks = [1, 2, 4]")


def test_a_lower_rank_is_part_of_a_higher_one() -> None:
    """Slices of 10, 10 and 20 bytes; each is held by its rank and those above."""
    library = build(RANKS, load_from="disk")
    assert len(library.models) == 2 * 3
    slices = [f"dog-a02/l.1.adapter.r{rank}" for rank in (1, 2, 4)]
    assert [library.blocks[name].bytes for name in slices] == [10, 10, 20]
    for rank, held in ((1, 1), (2, 2), (4, 3)):
        blocks = library.models[f"dog-a02-r{rank}"].blocks
        assert blocks[-1 - held :] == ("dog/l.1", *slices[:held])
    assert is_laminar(library)
    whole = build(ADAPTERS, load_from="disk")
    assert distinct(library) == distinct(whole)


def test_every_slice_of_a_rank_is_copied_by_itself() -> None:
    """Two copies of 1 ms for each slice, beyond 10 µs a byte."""
    library = build(RANKS, counted_profile(), load_from="disk")
    found = [library.blocks[f"dog-a01/l.0.adapter.r{r}"].load_s for r in (1, 2, 4)]
    assert found == pytest.approx([2.1e-3, 2.1e-3, 2.2e-3])


def test_ranks_of_roberta_base_have_the_published_parameters() -> None:
    """Q and v of 12 layers at rank 8: 0.3 million, as LoRA's table 2 states."""
    per_layer = 2 * (768 + 768) * 8
    assert 12 * per_layer == 294_912
    text = f"""
    [library]
    kind = "adapters"
    [[library.backbones]]
    base = "bert-base"
    adapters = 3
    ranks = [1, 2, 4, 8]
    adapter_bytes_per_layer = {4 * per_layer}
    layer_prefix = "encoder.layer."
    """
    profile = read_profile("h200")
    library = build(text, profile)
    base = sum(block.bytes for block in profile.models["bert-base"].blocks)
    assert distinct(library) == base + 3 * 4 * 294_912
    for rank in (1, 2, 4, 8):
        held = library.models[f"bert-base-a03-r{rank}"].blocks
        own = sum(library.blocks[name].bytes for name in held if "-a03/" in name)
        assert own == 4 * 294_912 * rank // 8


@pytest.mark.parametrize(
    ("text", "profile", "what"),
    [
        (
            RANKS.replace('"dog"', '"cat"'),
            TOY,
            r"^library.backbones\[0\].ranks: .* no lora sizes for 'cat'",
        ),
        (
            RANKS + "adapter_bytes_per_layer = 10\n",
            TOY,
            r"_bytes_per_layer: must give whole bytes at ranks 1, 2, 4, found 10",
        ),
        (
            RANKS.replace('"dog"', '"llama-3.1-8b"'),
            read_profile("vllm-lora-h100"),
            r"ranks: needs loads by bytes, and profile 'vllm-lora-h100' knows",
        ),
    ],
)
def test_ranks_that_cannot_be_cut_are_refused(
    text: str, profile: Profile, what: str
) -> None:
    """Each with its key."""
    with pytest.raises(InputError, match=what):
        build(text, profile)


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        ("ranks = [2, 1]", "distinct ranks, the lowest first, found"),
        ("ranks = [1, 1]", "distinct ranks, the lowest first, found"),
        ("ranks = [1]", "at least 2 items"),
        ("ranks = [1, 2]\nrank = 4", "give one of rank"),
        ("ranks = [1, 2]\nadapter_load_s = 1.0", "give no ranks with it"),
        ("rank = 1\nadapter_load_s = 1.0\nadapter_copies_per_layer = 2", "all copies"),
    ],
)
def test_keys_of_a_backbone_that_do_not_go_together(keys: str, what: str) -> None:
    """Each combination is refused with its reason."""
    text = ADAPTERS.replace("rank = 4", keys)
    with pytest.raises(ValidationError, match=what):
        SPEC.validate_python(tomllib.loads(text)["library"])


SHARDS = """
[library]
kind = "shards"
[[library.pools]]
base = "dog"
adapters = 3
shard_bytes = 80
pool = 5
takes = 3
own = 1
"""


def test_shards_come_from_a_pool_and_from_the_adapter() -> None:
    """Three of five common shards and one of its own, after the whole backbone."""
    library = build(SHARDS, load_from="disk")
    drawn = set()
    for model, of in library.models.items():
        assert of.blocks[:3] == ("dog/emb", "dog/l.0", "dog/l.1")
        assert of.blocks[-1] == f"{model}/shard1"
        pool = of.blocks[3:-1]
        assert len(set(pool)) == 3
        assert set(pool) <= {f"dog/pool1.{n}" for n in range(1, 6)}
        assert list(pool) == sorted(pool)
        drawn.add(pool)
    assert len(drawn) > 1
    assert not is_laminar(library)
    shard = library.blocks["dog-a01/shard1"]
    assert (shard.bytes, shard.load_s) == (80, pytest.approx(4e-3 * 80 / 800))
    assert build(SHARDS, load_from="disk") == library
    timed = build(SHARDS, counted_profile(), load_from="disk")
    assert timed.blocks["dog/pool1.1"].load_s == pytest.approx(1e-3 + 80e-5)


def test_a_pool_of_llama_2_7b_takes_what_an_adapter_of_rank_2_does() -> None:
    """64 shards, one of each linear weight's two vectors for each of 32 layers, twice.

    So large is a pool of equivalent rank 2 in MoS: rank 4 of the table, halved.
    """
    with require_shared("reference/lora_adapter_sizes.csv").open(newline="") as file:
        (rank_4,) = [
            int(row["bytes_fp16"])
            for row in csv.DictReader(file)
            if (row["base_model"], row["targets"], row["rank"])
            == ("llama-2-7b", "all-linear", "4")
        ]
    lora = read_profile("synthetic-lora").models["llama-2-7b"].lora
    assert lora is not None
    size = lora.bytes_per_rank["all-linear"]
    assert 64 * size == rank_4 // 2
    text = SHARDS.replace('"dog"', '"llama-2-7b"')
    for key, found, wanted in (
        ("shard_bytes", 80, size),
        ("pool", 5, 56),
        ("takes", 3, 56),
        ("own", 1, 8),
    ):
        text = text.replace(f"{key} = {found}", f"{key} = {wanted}")
    library = build(text, read_profile("synthetic-lora"))
    of = library.models["llama-2-7b-a02"].blocks[35:]
    assert sum(library.blocks[name].bytes for name in of) == rank_4 // 2


def test_a_pool_that_all_take_is_laminar() -> None:
    """Then only the own shards differ, and the dynamic program applies."""
    assert is_laminar(build(SHARDS.replace("takes = 3", "takes = 5"), load_from="disk"))
    with pytest.raises(ValidationError, match=r"takes must be at most pool \(5\)"):
        build(SHARDS.replace("takes = 3", "takes = 6"))


MERGED = """
[library]
kind = "merged"
[[library.merged]]
base = ["resnet18", "resnet34"]
models = 1
[[library.groups]]
blocks = ["resnet18-g01/layer4.1", "resnet34-g01/layer4.2"]
"""


def test_blocks_are_merged_wherever_they_are() -> None:
    """ResNet-34's last block is ResNet-18's; nothing else is shared."""
    profile = read_profile("clockwork-v100")
    library = build(MERGED, profile)
    large = library.models["resnet34-g01"].blocks
    assert large[-2] == "resnet18-g01/layer4.1"
    assert sum(name.startswith("resnet18-g01/") for name in large) == 1
    both = sum(
        block.bytes
        for name in ("resnet18", "resnet34")
        for block in profile.models[name].blocks
    )
    merged = library.blocks["resnet18-g01/layer4.1"].bytes
    assert distinct(library) == both - merged
    assert merged == 4 * parameters("resnet34")["layer4.2"]


@pytest.mark.parametrize(
    ("groups", "what"),
    [
        ('["resnet18-g01/layer4.0", "resnet34-g01/layer4.9"]', "must be blocks MODEL"),
        ('["resnet18-g01/layer4.0", "resnet34-g01/layer4.1"]', "must be of equal size"),
        ('["resnet34-g01/layer4.1", "resnet34-g01/layer4.2"]', "one block of a model"),
        ('["resnet18-g01/stem", "resnet34-g01/stem"]', "each in one group"),
    ],
)
def test_groups_that_cannot_be_merged_are_refused(groups: str, what: str) -> None:
    """With the position of the group, and the block."""
    text = MERGED + '[[library.groups]]\nblocks = ["resnet18-g01/stem", '
    text += '"resnet34-g01/stem"]\n[[library.groups]]\nblocks = ' + groups + "\n"
    with pytest.raises(InputError, match=rf"^library.groups\[2\].blocks: .*{what}"):
        build(text, read_profile("clockwork-v100"))


def test_every_block_of_resnet_18_has_its_like_in_resnet_34() -> None:
    """So all of the smaller one can be merged into the larger, at other places."""
    small, large = parameters("resnet18"), parameters("resnet34")
    free = list(large.values())
    for size in small.values():
        free.remove(size)
    assert sum(free) == sum(large.values()) - sum(small.values())
