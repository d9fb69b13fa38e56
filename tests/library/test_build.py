"""Model libraries: names, sharing patterns, sizes, load times and refusals."""

from __future__ import annotations

import tomllib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from edgesim.errors import InputError, from_validation
from edgesim.library.build import Library, build_library
from edgesim.library.sharing import crossing, is_laminar
from edgesim.profile.file import read_profile
from edgesim.profile.values import CopyTime, Profile, Timing
from edgesim.scenario.library import LibrarySpec, LoadSource
from solvers.problem import Problem

SPEC: TypeAdapter[LibrarySpec] = TypeAdapter(LibrarySpec)


def toy_profile() -> Profile:
    """Make a profile of two tiny models, one with measured spread."""
    spread = {"pinned": {"median_s": 2e-3, "p10_s": 1e-3, "p90_s": 4e-3}}
    plain = {"pinned": {"median_s": 4e-3}}
    return Profile.model_validate(
        {
            "name": "toy",
            "provenance": {"kind": "synthetic", "device": "none", "method": "made up"},
            "models": {
                "cat": {
                    "blocks": [
                        {"name": "in", "bytes": 1000, "load_s": spread},
                        {"name": "mid", "bytes": 2000, "load_s": plain},
                        {"name": "out", "bytes": 3000, "load_s": plain},
                    ],
                    "latency_s": {"1": 0.01, "4": 0.02},
                    "activation_bytes": {"1": 7, "4": 28},
                },
                "dog": {
                    "blocks": [
                        {
                            "name": "emb",
                            "bytes": 500,
                            "load_s": {"disk": plain["pinned"]},
                        },
                        {
                            "name": "l.0",
                            "bytes": 800,
                            "load_s": {"disk": plain["pinned"]},
                        },
                        {
                            "name": "l.1",
                            "bytes": 800,
                            "load_s": {"disk": plain["pinned"]},
                        },
                    ],
                    "latency_s": {"1": 0.5},
                    "lora": {
                        "layer_prefix": "l.",
                        "bytes_per_rank": {"q,v": 10, "all": 50},
                    },
                },
            },
        }
    )


TOY = toy_profile()


def build(toml: str, profile: Profile = TOY, seed: int = 1, **load: Any) -> Library:
    """Build the library of a scenario's text."""
    spec = SPEC.validate_python(tomllib.loads(toml)["library"])
    source = LoadSource(**load)
    return build_library(spec, profile, source, np.random.default_rng(seed))


TABLE = """[[library.clusters]]
base = "cat"
variants = 2
frozen_blocks = 2
"""
CATS = f"""
[library]
kind = "clusters"
{TABLE}"""


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


ADAPTERS = """
[library]
kind = "adapters"
[[library.backbones]]
base = "dog"
adapters = 2
rank = 4
"""


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


MIXED = """
[library]
kind = "mixed"
[[library.mixed]]
base = "cat"
models = 300
pool = 3
swap_probability = 0.5
"""


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


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        (
            CATS.replace('"cat"', '"cow"'),
            r"^library.clusters\[0\].base: must be a model of profile 'toy' "
            r"\(cat, dog\), found 'cow'$",
        ),
        (
            CATS.replace("frozen_blocks = 2", "frozen_blocks = [1, 4]"),
            r"^library.clusters\[0\].frozen_blocks: must be at most the number of "
            r"blocks of 'cat' \(3\), found 4$",
        ),
        (
            ADAPTERS.replace('"dog"', '"cat"'),
            r"^library.backbones\[0\].rank: .* no lora sizes for 'cat'",
        ),
        (
            ADAPTERS + 'targets = "k"\n',
            r"^library.backbones\[0\].targets: must be one of 'q,v', 'all' for 'dog'",
        ),
        (
            ADAPTERS + 'layer_prefix = "x"\n',
            r"^library.backbones\[0\].layer_prefix: .* 'dog' \(emb, …, l.1\)",
        ),
        (MIXED.replace('"cat"', '"cow"'), r"^library.mixed\[0\].base: must be"),
        ('[library]\nkind = "profile"\nmodels = "cow"', r"^library.models: must be"),
        (
            ADAPTERS,
            r"^gpu.load_from: must be a tier that profile 'toy' holds for 'dog' "
            r"\(disk\), found 'pinned'$",
        ),
    ],
)
def test_refuses_what_the_profile_does_not_hold(toml: str, message: str) -> None:
    """Each message begins with the scenario's key and says what is allowed."""
    with pytest.raises(InputError, match=message):
        build(toml)


@pytest.mark.parametrize(
    ("toml", "where", "what"),
    [
        ('[library]\nkind = "x"', "", "kind must be one of 'clusters', 'adapters'"),
        ("[library]\nfoo = 1", "", "it is missing"),
        (CATS + "typo = 1", "clusters[0].typo", "unknown key"),
        (CATS.replace("variants = 2", ""), "clusters[0].variants", "missing"),
        (
            CATS.replace("variants = 2", "variants = 0"),
            "clusters[0].variants",
            "than 0",
        ),
        (CATS.replace('"cat"', "[]"), "clusters[0].base", "a list of such names"),
        (CATS.replace('"cat"', '["cat", 3]'), "clusters[0].base", "list of such names"),
        (
            CATS.replace("blocks = 2", "blocks = -1"),
            "clusters[0].frozen_blocks",
            "0 or",
        ),
        (
            CATS.replace("blocks = 2", "blocks = 1.5"),
            "clusters[0].frozen_blocks",
            "1.5",
        ),
        (
            CATS.replace("blocks = 2", "blocks = true"),
            "clusters[0].frozen_blocks",
            "Tr",
        ),
        (
            CATS.replace("blocks = 2", "blocks = [2, 1]"),
            "clusters[0].frozen_bl",
            "[2, 1]",
        ),
        (
            CATS + "frozen_fraction = 0.5",
            "clusters[0]",
            "one of frozen_blocks, frozen_",
        ),
        (
            CATS + "frozen_bytes_fraction = 0.5",
            "clusters[0]",
            "one of frozen_blocks, f",
        ),
        (
            CATS.replace("frozen_blocks = 2", "frozen_bytes_fraction = -1"),
            "clusters[0].frozen_bytes_fraction",
            "between 0 and 1",
        ),
        (CATS.replace("frozen_blocks = 2", ""), "clusters[0]", "one of frozen_blocks"),
        (
            CATS.replace("frozen_blocks = 2", "frozen_fraction = 1.5"),
            "clusters[0].frozen_fraction",
            "between 0 and 1",
        ),
        (ADAPTERS + "adapter_bytes_per_layer = 5", "backbones[0]", "one of rank and"),
        (
            ADAPTERS.replace("rank = 4", 'adapter_bytes_per_layer = 4\ntargets = "q"'),
            "backbones[0]",
            "targets needs rank",
        ),
        (MIXED.replace("pool = 3", "pool = 1"), "mixed[0].pool", "2"),
        (MIXED.replace("= 0.5", "= 1.5"), "mixed[0].swap_probability", "less than or"),
        (
            '[library]\nkind = "clusters"\nclusters = []',
            "clusters",
            "must not be empty",
        ),
    ],
)
def test_refuses_malformed_sections(toml: str, where: str, what: str) -> None:
    """Each fault is reported under the key path that the scenario file has."""
    with pytest.raises(ValidationError) as caught:
        SPEC.validate_python(tomllib.loads(toml)["library"])
    error = from_validation("s.toml", caught.value)
    assert error.where.startswith(f"s.toml: {where}" if where else "s.toml")
    assert what in error.what


def test_two_models_of_one_name_are_refused() -> None:
    """A base that is called as another's variant does not silently replace it."""
    models = {"cat": TOY.models["cat"], "cat-v01": TOY.models["cat"]}
    profile = TOY.model_copy(update={"models": models})
    text = CATS + TABLE.replace('"cat"', '"cat-v01"') + "include_base = true\n"
    with pytest.raises(InputError, match="two models are called 'cat-v01'"):
        build(text, profile)


A, B, C = "aa" * 8, "bb" * 8, "cc" * 8


def checkpoint_profile(*, latency: bool = True) -> Profile:
    """Make three checkpoints: one and two share A, two and three B; C is alone."""
    held = {
        "one": [("a", A), ("own", None)],
        "two": [("a", A), ("b", B)],
        "three": [("other-name", B), ("own", None), ("c", C)],
    }
    sizes = {A: 1000, B: 300, C: 50, None: 7}
    return Profile.model_validate(
        {
            "name": "ckpt",
            "provenance": {"kind": "synthetic", "device": "none", "method": "made up"},
            "models": {
                model: {
                    "blocks": [
                        {
                            "name": name,
                            "bytes": sizes[content],
                            "load_s": {"pinned": {"median_s": sizes[content] * 1e-6}},
                        }
                        | ({} if content is None else {"content": content})
                        for name, content in blocks
                    ],
                    "latency_s": {"1": 0.01} if latency or model != "two" else {},
                }
                for model, blocks in held.items()
            },
        }
    )


CHECKPOINTS = '[library]\nkind = "checkpoints"\n'


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


def test_checkpoints_need_contents() -> None:
    """A profile without any content is refused by name, and told what to do."""
    with pytest.raises(InputError, match=r"^library\.kind: 'checkpoints' .* 'toy' "):
        build(CHECKPOINTS)
    with pytest.raises(InputError, match=r"^library\.models: must be .* found 'four'"):
        build(CHECKPOINTS + 'models = "four"\n', checkpoint_profile())


@pytest.mark.parametrize(
    ("toml", "key"),
    [
        (CHECKPOINTS, "library.models"),
        ('[library]\nkind = "profile"\n', "library.models"),
        (CATS.replace('"cat"', '"two"'), "library.clusters[0].base"),
        (MIXED.replace('"cat"', '"two"'), "library.mixed[0].base"),
    ],
)
def test_a_model_without_latency_is_refused(toml: str, key: str) -> None:
    """Whatever the kind, the message names the model and how to get a latency."""
    with pytest.raises(InputError, match="holds no latency") as caught:
        build(toml, checkpoint_profile(latency=False))
    assert str(caught.value) == (
        f"{key}: profile 'ckpt' holds no latency of 'two'; edgesim profile measure "
        f"takes it from an architecture or from another profile"
    )


def test_two_blocks_of_one_name_are_refused() -> None:
    """A slash in names must not make one block of two."""
    block = TOY.models["cat"].blocks[0]
    models = {
        name: TOY.models["cat"].model_copy(
            update={"blocks": (block.model_copy(update={"name": of}),)}
        )
        for name, of in (("a", "b/c"), ("a/b", "c"))
    }
    profile = TOY.model_copy(update={"models": models})
    with pytest.raises(InputError, match=r"^library: two blocks are called 'a/b/c'$"):
        build('[library]\nkind = "profile"\n', profile)


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


def counted_profile() -> Profile:
    """Give TOY a ladder of 1 ms + 10 µs a byte, and adapters of two copies a layer."""
    document = TOY.model_dump(exclude_none=True)
    document["copies"] = [
        {"bytes": n, "load_s": {"disk": {"median_s": 1e-3 + n * 1e-5}}}
        for n in (10, 100, 1000)
    ]
    document["models"]["dog"]["lora"]["copies"] = {"q,v": 2}
    return Profile.model_validate(document)


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
