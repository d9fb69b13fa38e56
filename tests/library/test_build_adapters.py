"""Libraries of adapters: where they sit, their sizes and load times."""

from __future__ import annotations

import numpy as np
import pytest

from edgesim.errors import InputError
from edgesim.library.sharing import is_laminar
from edgesim.profile.file import read_profile
from edgesim.profile.values import CopyTime, Profile, Timing
from tests.library.toy import ADAPTERS, TOY, build, counted_profile


def test_adapters_cost_what_copies_in_a_chain_do() -> None:
    """40 bytes take 1 µs as one of many, where one by itself takes 8 µs."""
    copies = (
        CopyTime(
            bytes=40,
            load_s={"disk": Timing(median_s=8e-6)},
            chained_s={"disk": Timing(median_s=1e-6)},
        ),
    )
    library = build(
        ADAPTERS, TOY.model_copy(update={"copies": copies}), load_from="disk"
    )
    assert library.blocks["dog-a01/l.1.adapter"].load_s == 1e-6


def test_adapters_share_the_backbone_and_sit_after_their_layers() -> None:
    """A small own block right after every layer; sizes rank × bytes per rank."""
    library = build(ADAPTERS, load_from="disk")
    assert library.models["dog-a02"].blocks == (
        *("dog/emb", "dog/l.0", "dog-a02/l.0.adapter"),
        *("dog/l.1", "dog-a02/l.1.adapter"),
    )
    own = library.blocks["dog-a01/l.1.adapter"]
    assert own.bytes == 40
    assert own.load_s == pytest.approx(4e-3 * 40 / 800, rel=1e-12)
    assert is_laminar(library)
    assert len(library.blocks) == 3 + 2 * 2


def test_adapter_sizes_by_targets_or_in_bytes() -> None:
    """Targets pick the profile's size; bytes in the scenario need no lora sizes."""
    wide = build(ADAPTERS + 'targets = "all"\n', load_from="disk")
    assert wide.blocks["dog-a01/l.0.adapter"].bytes == 200
    given = build(
        ADAPTERS.replace('"dog"', '"cat"').replace(
            "rank = 4", 'adapter_bytes_per_layer = 50\nlayer_prefix = "mid"'
        )
    )
    assert given.models["cat-a01"].blocks == (
        *("cat/in", "cat/mid", "cat-a01/mid.adapter", "cat/out"),
    )
    everywhere = build(
        ADAPTERS.replace('"dog"', '"cat"').replace(
            "rank = 4", "adapter_bytes_per_layer = 50"
        )
    )
    assert len(everywhere.models["cat-a01"].blocks) == 6


def test_llama_adapters_share_nearly_everything() -> None:
    """Twelve rank-16 adapters of Llama 2 7B add 16.8 MB each to 13.5 GB."""
    library = build(
        ADAPTERS.replace('"dog"', '"llama-2-7b"')
        .replace("adapters = 2", "adapters = 12")
        .replace("rank = 4", "rank = 16"),
        read_profile("synthetic-lora"),
    )
    own = sum(
        b.bytes for n, b in library.blocks.items() if n.startswith("llama-2-7b-a")
    )
    assert own == 12 * 16_777_216
    shared = sum(b.bytes for n, b in library.blocks.items() if "-a" not in n)
    assert shared == 13_476_831_232


def test_adapters_load_like_measured_copies() -> None:
    """With a ladder an adapter costs what a copy of its size costs, spread and all."""
    document = TOY.model_dump(exclude_none=True)
    small = {"median_s": 2e-3, "p10_s": 1e-3, "p90_s": 4e-3}
    large = {"median_s": 4e-3, "p10_s": 3e-3, "p90_s": 8e-3}
    document["copies"] = [
        {"bytes": 20, "load_s": {"disk": small}},
        {"bytes": 60, "load_s": {"disk": large}},
        {"bytes": 70, "load_s": {"pinned": small}},
    ]
    library = build(ADAPTERS, Profile.model_validate(document), load_from="disk")
    # 40 bytes are half-way: 3 ms, deciles 2 and 6 ms; by bytes it would be 0.2 ms.
    name = "dog-a01/l.1.adapter"
    assert library.blocks[name].load_s == pytest.approx(3e-3, rel=1e-12)
    sigma = np.log(6 / 2) / (2 * 1.2815515655446004)
    assert library.load_sigma[name] == pytest.approx(sigma, rel=1e-12)
    tiny = build(
        ADAPTERS.replace("rank = 4", "rank = 1"),
        Profile.model_validate(document),
        load_from="disk",
    )
    assert tiny.blocks[name].load_s == 2e-3


def test_adapters_count_their_copies() -> None:
    """Two copies of together 40 bytes: 2 ms and the bytes; elsewhere as one copy."""
    name, profile = "dog-a01/l.1.adapter", counted_profile()
    found = build(ADAPTERS, profile, load_from="disk").blocks[name]
    assert found.load_s == pytest.approx(2.4e-3)
    packed = build(ADAPTERS + 'targets = "all"\n', profile, load_from="disk")
    assert packed.blocks[name].load_s == pytest.approx(1e-3 + 200e-5)
    stated = ADAPTERS + "adapter_copies_per_layer = 5\n"
    found = build(stated, profile, load_from="disk").blocks[name]
    assert found.load_s == pytest.approx(5.4e-3)
    with pytest.raises(
        InputError,
        match=r"^library.backbones\[0\].adapter_copies_per_layer: needs plain copies",
    ):
        build(stated, load_from="disk")


def test_adapters_load_in_a_stated_time() -> None:
    """In equal parts a layer, whatever copies cost; not beside a rate."""
    text = ADAPTERS + "adapter_load_s = 0.3\n"
    library = build(text, counted_profile(), load_from="disk")
    for layer in ("l.0", "l.1"):
        assert library.blocks[f"dog-a01/{layer}.adapter"].load_s == pytest.approx(0.15)
        assert library.blocks[f"dog/{layer}"].load_s == 4e-3
    with pytest.raises(
        InputError,
        match=r"^library.backbones\[0\].adapter_load_s: is not taken with gpu",
    ):
        build(text, load_rate_bytes_per_s=1e6)


def test_adapters_load_as_their_profile_knows() -> None:
    """By rank: 80 ms of two layers; a rank that is not there is refused."""
    document = TOY.model_dump(exclude_none=True)
    loads = {"4": {"disk": {"median_s": 0.08}}}
    document["models"]["dog"]["lora"]["adapter_load_s"] = loads
    profile = Profile.model_validate(document)
    found = build(ADAPTERS, profile, load_from="disk")
    assert found.blocks["dog-a02/l.0.adapter"].load_s == pytest.approx(0.04)
    with pytest.raises(
        InputError,
        match=r"^library.backbones\[0\].rank: .* of rank 4 for 'dog', found 5",
    ):
        build(ADAPTERS.replace("rank = 4", "rank = 5"), profile, load_from="disk")


def test_a_published_adapter_takes_its_published_time() -> None:
    """Llama 3.1 8B, rank 16: 6.4 ms from memory and 88 ms from disk, in 32 parts."""
    text = ADAPTERS.replace('"dog"', '"llama-3.1-8b"').replace("rank = 4", "rank = 16")
    for tier, expected_s in (("pinned", 6.384e-3), ("disk", 88e-3)):
        library = build(text, read_profile("vllm-lora-h100"), load_from=tier)
        own = [b.load_s for name, b in library.blocks.items() if "-a01/" in name]
        assert len(own) == 32
        assert sum(own) == pytest.approx(expected_s)
