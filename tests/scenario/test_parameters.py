"""Parameters by name: their axes, and the values that they set in a scenario."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgesim.errors import InputError
from edgesim.experiment.figure import read_figure
from edgesim.experiment.sources import library_of
from edgesim.measures.point import LABELS, PLAN_LABELS, TIME_LABELS
from edgesim.profile.file import read_profile
from edgesim.scenario import Scenario, read_scenario
from edgesim.scenario.parameters import _AXES, NAMED, Axis, axis_of, expand, is_whole
from edgesim.shipped import locate, shipped_names
from tests.command import edgesim

CAMPUS = read_scenario(locate("scenario", "campus"))
LORA = read_scenario(locate("scenario", "lora-adapters"))
OWN = read_scenario(locate("scenario", "own-models"))
PROFILE = "clockwork-v100"


def of_library(library: dict[str, Any]) -> Scenario:
    """Give the campus another library."""
    return CAMPUS.replace(library=library)


def models_in(scenario: Scenario) -> int:
    """Build the library and count its models."""
    profile = read_profile(locate("profile", scenario.profile))
    rng = np.random.default_rng(1)
    return len(library_of(Path("scenario.toml"), scenario, profile, rng).models)


TABLES: dict[str, Scenario] = {
    "two tables, one base in both": of_library(
        {
            "kind": "clusters",
            "clusters": [
                {
                    "base": ["resnet50", "resnet101"],
                    "variants": 3,
                    "frozen_blocks": [2, 5],
                    "include_base": True,
                },
                {
                    "base": "resnet50",
                    "variants": 9,
                    "frozen_bytes_fraction": 0.2,
                    "include_base": True,
                },
            ],
        }
    ),
    "mixed": of_library(
        {
            "kind": "mixed",
            "mixed": [
                {
                    "base": ["resnet18", "resnet34"],
                    "models": 2,
                    "pool": 3,
                    "swap_probability": 0.5,
                }
            ],
        }
    ),
    "adapters": of_library(
        {
            "kind": "adapters",
            "backbones": [
                {
                    "base": ["resnet18"],
                    "adapters": 2,
                    "adapter_bytes_per_layer": 100,
                    "include_base": True,
                }
            ],
        }
    ),
    "campus": CAMPUS,
    "lora": LORA,
}


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        ("cell.bandwidth_hz", Axis("bandwidth (MHz)", 1e6)),
        ("bandwidth", Axis("bandwidth (MHz)", 1e6)),
        ("gpu.memory_bytes", Axis("GPU memory (GB)", 1e9)),
        ("memory", Axis("GPU memory (GB)", 1e9)),
        ("load_rate", Axis("load rate (GB/s)", 1e9)),
        ("gpu.load_rate_bytes_per_s", Axis("load rate (GB/s)", 1e9)),
        ("deadline", Axis("deadline (s)", 1)),
        ("users", Axis("requests per plan", 1)),
        ("workload.requests", Axis("requests per plan", 1)),
        ("load", Axis("load", 1)),
        ("popularity", Axis("Zipf exponent", 1)),
        ("shared", Axis("shared bytes of a base (%)", 0.01)),
        ("cell.radius_m", Axis("radius (m)", 1)),
        ("cell.noise_figure_db", Axis("noise figure (dB)", 1)),
        ("cell.noise_dbm_per_hz", Axis("noise (dBm/Hz)", 1)),
        ("library.clusters[0].variants", Axis("variants of each base", 1)),
        ("library.clusters.12.variants", Axis("variants of each base", 1)),
        ("online.faults[1].for_s", Axis("length of the fault (s)", 1)),
        ("online.rolling.horizon_s", Axis("horizon (s)", 1)),
        ("run.solvers", Axis("run.solvers", 1)),
    ],
)
def test_axes(parameter: str, expected: Axis) -> None:
    """Names, key paths and positions; the key path where nothing is known."""
    assert axis_of(parameter) == expected


@pytest.mark.parametrize("parameter", NAMED)
def test_every_name_has_an_axis(parameter: str) -> None:
    """Its own label, not its name; a value that campus takes changes campus."""
    assert axis_of(parameter).label != parameter or parameter == "load"
    value = {"models": 48, "frozen": 0.5, "shared": 0.5}.get(parameter, 3)
    changes = expand(CAMPUS, parameter, value)
    json.dumps(changes)
    assert CAMPUS.replace(**changes) != CAMPUS


@pytest.mark.parametrize("name", TABLES)
def test_models_spread_evenly(name: str) -> None:
    """The library has as many models as asked for; the others say which can be."""
    scenario = TABLES[name]
    reached, refusals = [], []
    for total in range(1, 61):
        try:
            changes = expand(scenario, "models", float(total))
        except InputError as error:
            refusals.append(error)
            continue
        assert models_in(scenario.replace(**changes)) == total
        reached.append(total)
    for refusal in refusals:
        assert refusal.where == "models"
        near = refusal.what.split("such as ")[1].split(",")[0].split(" or ")
        assert set(map(int, near)) & set(reached)
    assert len(reached) >= 5


@pytest.mark.parametrize(
    ("parameter", "key"),
    [("frozen", "frozen_fraction"), ("shared", "frozen_bytes_fraction")],
)
def test_shares_replace_what_tables_had(parameter: str, key: str) -> None:
    """Every cluster has the one key, and all else as before; so does a file read."""
    scenario = TABLES["two tables, one base in both"]
    changes = expand(scenario, parameter, 0.25)
    found = scenario.replace(**changes)
    for table, before in zip(
        found.library.clusters, scenario.library.clusters, strict=True
    ):
        assert table.model_dump(exclude_none=True) == {
            **{
                name: value
                for name, value in before.model_dump(exclude_none=True).items()
                if not name.startswith("frozen")
            },
            key: 0.25,
        }
    path = locate("scenario", "campus")
    again = read_scenario(path, expand(CAMPUS, parameter, 0))
    assert getattr(again.library.clusters[0], key) == 0


@pytest.mark.parametrize(
    ("scenario", "parameter", "value", "message"),
    [
        (
            CAMPUS,
            "models",
            25,
            "spread evenly over 2 bases, such as 24 or 26, found 25",
        ),
        (CAMPUS, "models", 0, "such as 2, found 0"),
        (CAMPUS, "models", 2.5, "must be a whole number, found 2.5"),
        (CAMPUS, "models", True, "must be a whole number, found True"),
        (OWN, "models", 4, "needs a library of kind clusters, adapters or mixed"),
        (
            LORA.replace(
                **{
                    "library.backbones": [
                        {"base": "llama-2-7b", "adapters": 2, "ranks": [1, 2]}
                    ]
                }
            ),
            "models",
            4,
            "needs adapters of one rank each",
        ),
        (OWN, "frozen", 0.5, "needs a library of kind clusters"),
        (LORA, "shared", 0.5, "needs a library of kind clusters"),
        (CAMPUS, "shared", 1.5, "must be a number between 0 and 1, found 1.5"),
        (CAMPUS, "frozen", "half", "must be a number between 0 and 1, found 'half'"),
        (CAMPUS, "bandwith", 1.0, "or a key path .*; did you mean 'bandwidth'?"),
        (CAMPUS, "profil", "x", "did you mean 'profile'?"),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    scenario: Scenario, parameter: str, value: Any, message: str
) -> None:
    """The error names the parameter as it was given, and what is possible."""
    with pytest.raises(InputError, match=message) as caught:
        expand(scenario, parameter, value)
    assert caught.value.where == parameter


def test_key_paths_stand_for_themselves() -> None:
    """Also a top-level key; whether they are right is told when they are set."""
    for key in ("cell.radius_m", "library.clusters[0].variants", "profile", "gpu"):
        assert expand(CAMPUS, key, 7) == {key: 7}


def test_shipped_scenarios_take_what_they_have() -> None:
    """No shipped scenario fails in another way than by a refusal."""
    taken, refused = 0, []
    for name in shipped_names("scenario"):
        scenario = read_scenario(locate("scenario", name))
        for parameter, value in (("models", 24), ("frozen", 0.5), ("bandwidth", 1e7)):
            try:
                scenario.replace(**expand(scenario, parameter, value))
                taken += 1
            except InputError as error:
                refused.append(error.where)
    assert set(refused) == {"models", "frozen"}
    assert taken > 30


def test_listed() -> None:
    """``edgesim list parameters`` says what each is."""
    finished = edgesim("list", "parameters")
    assert finished.code == 0, finished.err
    text = " ".join(finished.out.split())
    for name, what in NAMED.items():
        assert f"{name} {what}" in text


def test_keys_of_whole_numbers_are_known() -> None:
    """By the scenario's schema, whatever the library."""
    whole = ("users", "memory", "models", "library.clusters[0].variants", "run.seed")
    assert all(map(is_whole, whole))
    others = ("bandwidth", "load", "popularity", "frozen", "workload.window_s")
    assert not any(map(is_whole, others))


def test_rates_on_axes_are_per_something() -> None:
    """``requests per plan``: on no axis, of a file or of ours, is it "a plan"."""
    labels = [axis.label for axis in _AXES.values()]
    labels += [label.text for label in (LABELS | PLAN_LABELS | TIME_LABELS).values()]
    for name in shipped_names("figure"):
        plot = read_figure(locate("figure", name)).plot
        labels += [plot.x_label or "", plot.second_label or "", plot.y_label or ""]
    assert len(labels) > 100
    for label in labels:
        assert not re.search(r"(s|r,) an? (plan|round|\w*request|layer|second)", label)
