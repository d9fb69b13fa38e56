"""Model libraries: names, sharing patterns, sizes and load times."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgesim.library.sharing import crossing, is_laminar
from edgesim.profile.file import read_profile
from edgesim.profile.values import Profile, Timing
from solvers.problem import Problem
from tests.library.toy import (
    CATS,
    CHECKPOINTS,
    MIXED,
    TABLE,
    TOY,
    build,
    checkpoint_profile,
    counted_profile,
)


def test_variants_share_the_bottom_blocks_of_their_base() -> None:
    """The first n blocks are the base's, the rest a variant's own; no base model."""
    library = build(CATS)
    assert {name: model.blocks for name, model in library.models.items()} == {
        "cat-v01": ("cat/in", "cat/mid", "cat-v01/out"),
        "cat-v02": ("cat/in", "cat/mid", "cat-v02/out"),
    }
    assert set(library.blocks) == {"cat/in", "cat/mid", "cat-v01/out", "cat-v02/out"}
    assert library.blocks["cat-v02/out"].bytes == 3000
    assert library.blocks["cat-v02/out"].load_s == 4e-3


def test_models_take_the_padded_batch_table_of_their_base() -> None:
    """Latency and activations come from the base, padded to the measured batches."""
    model = build(CATS).models["cat-v01"]
    assert model.latency_s == (0.01, 0.02, 0.02, 0.02)
    assert model.activation_bytes == (7, 28, 28, 28)


def test_models_take_what_a_round_costs_beyond_its_load() -> None:
    """An empty round of 1 ms is part of every batch's time, and of nothing else."""
    slow = TOY.model_copy(update={"round_s": Timing(median_s=1e-3)})
    library = build(CATS, slow)
    model = library.models["cat-v01"]
    assert model.latency_s == pytest.approx((0.011, 0.021, 0.021, 0.021))
    assert library.blocks == build(CATS).blocks


def test_base_can_be_a_model_once() -> None:
    """include_base adds the base, once even if two tables ask, sharing its blocks."""
    twice = build((CATS + "include_base = true\n") + TABLE + "include_base = true\n")
    assert list(twice.models) == ["cat", "cat-v01", "cat-v02", "cat-v03", "cat-v04"]
    assert twice.models["cat"].blocks == ("cat/in", "cat/mid", "cat/out")


@pytest.mark.parametrize(("frozen", "own"), [(0, 3), (3, 0)])
def test_all_or_nothing_may_be_frozen(frozen: int, own: int) -> None:
    """Depth 0 shares nothing, the whole depth everything."""
    library = build(CATS.replace("frozen_blocks = 2", f"frozen_blocks = {frozen}"))
    blocks = library.models["cat-v02"].blocks
    assert sum(name.startswith("cat-v02/") for name in blocks) == own


def test_drawn_depths_fill_the_range_and_sharing_stays_laminar() -> None:
    """Depths of [1, 3] are all drawn and no other; different depths never cross."""
    text = CATS.replace("= 2\nfrozen_blocks = 2", "= 60\nfrozen_blocks = [1, 3]")
    library = build(text)
    depths = [
        sum(block.startswith("cat/") for block in model.blocks)
        for model in library.models.values()
    ]
    assert set(depths) == {1, 2, 3}
    assert min(depths.count(depth) for depth in (1, 2, 3)) >= 10
    assert is_laminar(library)


def test_frozen_fraction_rounds_to_whole_blocks() -> None:
    """Half of 3 blocks is 2; a pair of fractions spans the rounded depths."""
    half = build(CATS.replace("frozen_blocks = 2", "frozen_fraction = 0.5"))
    assert half == build(CATS)
    span = CATS.replace("variants = 2\nfrozen_blocks = 2", "variants = 50")
    drawn = build(span + "frozen_fraction = [0.3, 1]\n")
    depths = {
        sum(block.startswith("cat/") for block in model.blocks)
        for model in drawn.models.values()
    }
    assert depths == {1, 2, 3}


@pytest.mark.parametrize(
    ("fraction", "blocks"),
    [
        *((0.0, 0), (0.166, 0), (1000 / 6000, 1), (0.3, 1), (0.49, 1)),
        *((0.5, 2), (0.99, 2), (1.0, 3)),
    ],
)
def test_frozen_bytes_are_at_most_the_fraction(fraction: float, blocks: int) -> None:
    """Blocks of 1000, 2000 and 3000 bytes are whole: the deepest that fit count."""
    key = f"frozen_bytes_fraction = {fraction}"
    found = build(CATS.replace("frozen_blocks = 2", key))
    assert found == build(
        CATS.replace("= 2\nfrozen_blocks = 2", f"= 2\nfrozen_blocks = {blocks}")
    )


def test_frozen_bytes_of_a_pair_are_drawn_as_blocks_are() -> None:
    """The same depths as of the two numbers of blocks, from the same draws."""
    many = CATS.replace("variants = 2", "variants = 40")
    found = build(many.replace("frozen_blocks = 2", "frozen_bytes_fraction = [0.2, 1]"))
    assert found == build(many.replace("frozen_blocks = 2", "frozen_blocks = [1, 3]"))


@given(fraction=st.floats(0, 1))
def test_frozen_bytes_of_a_measured_profile(fraction: float) -> None:
    """What is shared is at most the fraction, and one block more would be too much."""
    profile = read_profile("clockwork-v100")
    library = build(
        f"""
        [library]
        kind = "clusters"
        [[library.clusters]]
        base = "resnet50"
        variants = 1
        frozen_bytes_fraction = {fraction}
        """,
        profile,
    )
    sizes = [block.bytes for block in profile.models["resnet50"].blocks]
    (model,) = library.models.values()
    depth = sum(name.startswith("resnet50/") for name in model.blocks)
    slack = 1e-9 * sum(sizes)
    assert sum(sizes[:depth]) <= fraction * sum(sizes) + slack
    if depth < len(sizes):
        assert sum(sizes[: depth + 1]) > fraction * sum(sizes)


SCALED_KINDS = {
    "clusters": CATS,
    "adapters": """
        [library]
        kind = "adapters"
        [[library.backbones]]
        base = "cat"
        adapters = 2
        adapter_bytes_per_layer = 5
        """,
    "mixed": """
        [library]
        kind = "mixed"
        [[library.mixed]]
        base = "cat"
        models = 3
        pool = 2
        swap_probability = 0.5
        """,
    "profile": '[library]\nkind = "profile"\nmodels = "cat"\n',
}


@pytest.mark.parametrize("kind", SCALED_KINDS)
@pytest.mark.parametrize("load", [{}, {"load_rate_bytes_per_s": 1e6}])
def test_weights_and_load_times_scale(kind: str, load: dict[str, float]) -> None:
    """Bytes stay whole and above 0; load times scale along; computing does not."""
    text = SCALED_KINDS[kind]
    plain = build(text, **load)
    assert build(text, weight_scale=1.0, load_time_scale=1.0, **load) == plain
    half = build(text, weight_scale=0.5, **load)
    slow = build(text, load_time_scale=3.0, **load)
    both = build(text, weight_scale=0.5, load_time_scale=3.0, **load)
    tiny = build(text, weight_scale=1e-9, **load)
    assert plain.blocks
    for found in (half, slow, both, tiny):
        assert found.models == plain.models
        assert found.load_sigma == plain.load_sigma
    for name, block in plain.blocks.items():
        assert half.blocks[name].bytes == round(block.bytes / 2)
        assert slow.blocks[name].bytes == block.bytes
        assert slow.blocks[name].load_s == block.load_s * 3
        assert both.blocks[name].load_s == pytest.approx(half.blocks[name].load_s * 3)
        assert tiny.blocks[name].bytes == 1
        if load:
            assert half.blocks[name].load_s == half.blocks[name].bytes / 1e6
        else:
            assert half.blocks[name].load_s == block.load_s / 2


def test_a_hundred_resnets_take_five_lines() -> None:
    """5 bases × 20 variants from one table: laminar, and each base its own cluster."""
    library = build(
        """
        [library]
        kind = "clusters"
        [[library.clusters]]
        base = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]
        variants = 20
        frozen_fraction = [0.5, 0.9]
        """,
        read_profile("clockwork-v100"),
    )
    assert len(library.models) == 100
    assert "resnet50-v20" in library.models
    assert is_laminar(library)
    assert len(library.models["resnet152-v03"].blocks) == 52
    assert library.models["resnet50-v03"].blocks[:2] == (
        "resnet50/stem",
        "resnet50/layer1.0",
    )


def test_same_seed_same_library() -> None:
    """The generator alone decides: same seed equal, another seed different."""
    text = CATS.replace("= 2\nfrozen_blocks = 2", "= 30\nfrozen_blocks = [0, 3]")
    assert build(text, seed=5) == build(text, seed=5)
    assert build(text, seed=5) != build(text, seed=6)


def test_numbers_are_as_wide_as_the_last_one_needs() -> None:
    """Names of 100 variants have three digits, so that they sort as they count."""
    names = list(build(CATS.replace("variants = 2", "variants = 100")).models)
    assert names[0] == "cat-v001"
    assert names == sorted(names)


def test_mixed_swaps_with_the_stated_probability() -> None:
    """Half the blocks stay the base's; each other version of three gets a quarter."""
    library = build(MIXED)
    taken = [block for model in library.models.values() for block in model.blocks]
    assert set(library.blocks) == {
        f"cat/{name}{version}"
        for name in ("in", "mid", "out")
        for version in ("", "#2", "#3")
    }
    for version, share in (("#2", 0.25), ("#3", 0.25)):
        found = sum(block.endswith(version) for block in taken) / len(taken)
        assert found == pytest.approx(share, abs=0.05)
    assert crossing(library) is not None


@pytest.mark.parametrize(("chance", "shared"), [(0, True), (1, False)])
def test_mixed_extremes(chance: int, shared: bool) -> None:
    """Probability 0 swaps nothing, 1 everything."""
    library = build(MIXED.replace("= 0.5", f"= {chance}"))
    assert ("cat/mid" in library.blocks) is shared
    assert ("cat/mid#2" in library.blocks) is not shared


def test_profile_kind_takes_models_as_they_stand() -> None:
    """Every model keeps its blocks for itself, even where names are equal."""
    profile = read_profile("clockwork-v100")
    library = build('[library]\nkind = "profile"\n', profile)
    assert list(library.models) == list(profile.models)
    assert "resnet18/stem" in library.blocks
    assert "resnet34/stem" in library.blocks
    some = build('[library]\nkind = "profile"\nmodels = ["resnet34"]\n', profile)
    assert list(some.models) == ["resnet34"]


def test_stated_rate_replaces_measured_times() -> None:
    """Load times become bytes / rate, without spread, whatever tiers there are."""
    measured = build(CATS)
    assert set(measured.load_sigma) == {"cat/in"}
    stem = TOY.models["cat"].blocks[0]
    assert measured.load_sigma["cat/in"] == stem.load_s["pinned"].spread
    stated = build(CATS, load_rate_bytes_per_s=1e6)
    assert stated.blocks["cat/mid"].load_s == 2e-3
    assert stated.blocks["cat-v01/out"].load_s == 3e-3
    assert not stated.load_sigma


def test_library_makes_a_valid_problem() -> None:
    """Blocks and models are the solvers' own: a problem takes them as they are."""
    library = build(CATS)
    problem = Problem(
        name="p",
        bandwidth_hz=1e6,
        blocks=library.blocks,
        models=library.models,
        users=(),
    )
    assert problem.weight_bytes("cat-v01") == 6000


def test_checkpoints_share_what_has_one_content() -> None:
    """A block is called as in its first holder; blocks without content stay apart."""
    library = build(CHECKPOINTS, checkpoint_profile())
    assert {name: model.blocks for name, model in library.models.items()} == {
        "one": ("one/a", "one/own"),
        "two": ("one/a", "two/b"),
        "three": ("two/b", "three/own", "three/c"),
    }
    assert {name: block.bytes for name, block in library.blocks.items()} == {
        "one/a": 1000,
        "one/own": 7,
        "two/b": 300,
        "three/own": 7,
        "three/c": 50,
    }
    assert library.blocks["two/b"].load_s == pytest.approx(3e-4)
    assert crossing(library) is not None  # two holds both A and B, the others one each


def test_chosen_checkpoints_name_blocks_in_their_order() -> None:
    """With ``models`` only those count, and the first of them names the block."""
    library = build(CHECKPOINTS + 'models = ["three", "two"]\n', checkpoint_profile())
    assert library.models["two"].blocks == ("two/a", "three/other-name")
    assert list(library.models) == ["three", "two"]


def test_the_kind_profile_shares_nothing_even_of_one_content() -> None:
    """Every model keeps its own blocks, whatever their contents are."""
    library = build('[library]\nkind = "profile"\n', checkpoint_profile())
    assert len(library.blocks) == 7


def test_blocks_of_several_copies_cost_more() -> None:
    """A layer of three copies takes twice the offset of 1 ms beyond its own time."""
    document = counted_profile().model_dump(exclude_none=True)
    document["models"]["dog"]["blocks"][1]["copies"] = 3
    profile = Profile.model_validate(document)
    library = build(
        '[library]\nkind = "profile"\nmodels = "dog"\n', profile, load_from="disk"
    )
    assert library.blocks["dog/l.0"].load_s == pytest.approx(6e-3)
    assert library.blocks["dog/l.1"].load_s == 4e-3


def test_measured_spread_of_latencies_is_kept_by_model() -> None:
    """Variants have that of their base; a stated load rate does not take it away."""
    document = TOY.model_dump(exclude_none=True)
    timing = {"median_s": 0.02, "p10_s": 0.01, "p90_s": 0.04}
    document["models"]["cat"]["latency_s"]["4"] = timing
    profile = Profile.model_validate(document)
    expected = pytest.approx(np.log(4) / (2 * 1.2815515655446004), rel=1e-12)
    for load in ({}, {"load_rate_bytes_per_s": 1e6}):
        library = build(CATS, profile, **load)
        assert set(library.compute_sigma) == {"cat-v01", "cat-v02"}
        assert library.compute_sigma["cat-v02"] == expected
    assert not build(CATS).compute_sigma
