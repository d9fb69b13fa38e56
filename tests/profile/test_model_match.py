"""Which model of a profile a library's model is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgesim.library.build import build_library
from edgesim.profile import model_match as match
from edgesim.profile.values import Profile
from edgesim.profiling import zoo
from edgesim.scenario.library import (
    AdaptersSpec,
    CheckpointsSpec,
    ClustersSpec,
    LibrarySpec,
    LoadSource,
    MixedSpec,
    ProfileSpec,
)
from solvers import Problem
from tests.replay import cases


def _library(spec: LibrarySpec, profile: Profile) -> Problem:
    library = build_library(
        spec, profile, LoadSource(load_from="pageable"), np.random.default_rng(1)
    )
    return Problem(
        name="library",
        bandwidth_hz=1e6,
        blocks=library.blocks,
        models=library.models,
        users=(),
    )


@pytest.mark.parametrize(
    ("model", "known", "base"),
    [
        ("net", ["net"], "net"),
        ("net-v01", ["net", "net-v01"], "net-v01"),
        ("net-v01", ["net"], "net"),
        ("net-a1", ["net"], "net"),
        ("net-m002", ["net"], "net"),
        ("net-v1-a2", ["net", "net-v1"], "net-v1"),
        ("net-x01", ["net"], None),
        ("net-v", ["net"], None),
        ("other-v01", ["net"], None),
        ("net", ["net-v01"], None),
    ],
)
def test_variants_end_in_a_letter_and_a_number(
    model: str, known: list[str], base: str | None
) -> None:
    """Its own name comes first; else what stands before -v, -a or -m and digits."""
    assert match.base_of(model, known) == base


SPECS: list[dict[str, Any]] = [
    {
        "kind": "clusters",
        "clusters": [{"base": "net", "variants": 3, "frozen_blocks": [0, 2]}],
    },
    {
        "kind": "adapters",
        "backbones": [{"base": "net", "adapters": 2, "adapter_bytes_per_layer": 64}],
    },
    {
        "kind": "mixed",
        "mixed": [{"base": "net", "models": 3, "pool": 4, "swap_probability": 0.5}],
    },
    {"kind": "profile"},
]
KINDS = (ClustersSpec, AdaptersSpec, MixedSpec, ProfileSpec)


@pytest.mark.parametrize(("kind", "spec"), list(zip(KINDS, SPECS, strict=True)))
def test_every_kind_of_library_leads_back_to_its_base(
    kind: type[Any], spec: dict[str, Any]
) -> None:
    """Each model of each kind of library is the profile's model it was made of."""
    profile = cases.profile()
    problem = _library(kind.model_validate(spec), profile)
    for model in problem.models:
        found = match.match_model(problem, model, profile)
        assert found.base == "net"
        assert found.network == match.NetworkSpec(cases.NETWORK, "3x16x16", "float32")
        assert found.reason is None


def test_a_block_known_by_its_content_may_have_another_models_name() -> None:
    """Checkpoints whose shared block stands under the first holder's name match."""
    document = cases.profile().document()
    del document["schema"]
    first = document["models"]["net"]
    first["blocks"][0]["content"] = "ab" * 8
    second = cases.profile().document()["models"]["net"]
    second["blocks"][0] |= {"content": "ab" * 8, "name": "trunk"}
    document["models"] = {"cats": first, "dogs": second}
    profile = Profile.model_validate(document)
    problem = _library(CheckpointsSpec(kind="checkpoints"), profile)
    assert problem.models["dogs"].blocks == ("cats/stem", "dogs/head")
    assert match.match_model(problem, "dogs", profile).base == "dogs"


def test_a_model_with_other_blocks_is_another_model() -> None:
    """A name that fits is not enough: every block of the base must be there."""
    profile = cases.profile()
    plain = cases.problem()
    models = dict(plain.models)
    models["net-v01"] = models["net-v01"].model_copy(
        update={"blocks": ("net-v01/head",)}
    )
    found = match.match_model(
        plain.model_copy(update={"models": models}), "net-v01", profile
    )
    assert found.base is None
    assert found.reason == "the profile's 'net' has a block 'stem', which it has not"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"architecture": None}, "the profile states no architecture of 'net'"),
        ({"input": None}, "the profile states no input of 'net'"),
    ],
)
def test_without_architecture_or_input_there_is_no_network(
    changes: dict[str, Any], reason: str
) -> None:
    """The base is known, what computes it is not, and the reason says why."""
    found = match.match_model(cases.problem(), "net-v01", cases.profile(**changes))
    assert (found.base, found.network, found.reason) == ("net", None, reason)


def test_functions_are_told_from_libraries() -> None:
    """Every source that the measuring side knows as a library is none to be called."""
    assert set(match.LIBRARIES) == set(zoo.LIBRARIES)
    assert match.NetworkSpec(cases.NETWORK, "3", None).is_factory
    for name in match.LIBRARIES:
        assert not match.NetworkSpec(f"{name}:net", "3", None).is_factory


def test_functions_can_be_left_out() -> None:
    """A network that code would build is not one when code is not to run."""
    found = match.match_model(
        cases.problem(), "net-v01", cases.profile(), factories=False
    )
    assert found.network is None
    assert found.reason == f"{cases.NETWORK} was not to be called"


@pytest.mark.parametrize(
    ("batch", "padded"), [(1, 1), (2, 4), (4, 4), (5, 16), (17, 17)]
)
def test_a_batch_is_padded_to_the_next_measured_one(batch: int, padded: int) -> None:
    """Sizes compare as numbers, not as text; beyond the last nothing is padded."""
    assert match.padded_batch(["16", "1", "4"], batch) == padded


def test_the_fastest_tier_that_both_have_is_chosen() -> None:
    """Order is the device's; a profile with neither gives none."""
    profile = cases.profile()
    assert match.common_tier(["pinned", "pageable"], profile, ["net"]) == "pageable"
    assert match.common_tier(["pinned", "disk"], profile, []) is None


def test_loads_and_latencies_of_another_plan_are_noticed() -> None:
    """Counted are the plan's values that differ from the profile's."""
    profile = cases.profile()
    problem = cases.problem()
    matches = {
        name: match.match_model(problem, name, profile) for name in problem.models
    }
    assert match.load_agreement(problem, matches, profile, "pageable") == (3, 3)
    assert match.load_agreement(problem, matches, profile, "disk") == (0, 0)
    assert match.latency_agreement(problem, matches, profile) == (2, 2)
    blocks = dict(problem.blocks)
    blocks["net/stem"] = blocks["net/stem"].model_copy(update={"load_s": 1.0})
    slower = problem.model_copy(update={"blocks": blocks})
    assert match.load_agreement(slower, matches, profile, "pageable") == (2, 3)
    models = dict(problem.models)
    models["net-v02"] = models["net-v02"].model_copy(update={"latency_s": (1.0,)})
    other = problem.model_copy(update={"models": models})
    assert match.latency_agreement(other, matches, profile) == (1, 2)
