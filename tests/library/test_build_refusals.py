"""Libraries that cannot be built are refused, by the key that is wrong."""

from __future__ import annotations

import tomllib

import pytest
from pydantic import ValidationError

from edgesim.errors import InputError, from_validation
from tests.library.toy import (
    ADAPTERS,
    CATS,
    CHECKPOINTS,
    MIXED,
    SPEC,
    TABLE,
    TOY,
    build,
    checkpoint_profile,
)


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
