"""The problem checks itself: each rule, and what its message says."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

import pytest
from pydantic import ValidationError

from solvers import Problem

VALID: dict[str, Any] = {
    "name": "tiny",
    "bandwidth_hz": 2e7,
    "gpu_memory_bytes": 8_000_000_000,
    "resident_model": "cats",
    "blocks": {
        "stem": {"bytes": 38144, "load_s": 3.1e-6},
        "head": {"bytes": 10, "load_s": 0.0},
    },
    "models": {
        "cats": {
            "blocks": ["stem", "head"],
            "latency_s": [0.0027, 0.0041],
            "activation_bytes": [1000, 2000],
        },
        "dogs": {"blocks": ["stem"], "latency_s": [0.003]},
    },
    "users": [
        {
            "id": "u0",
            "model": "cats",
            "input_bits": 1200000,
            "spectral_efficiency": 3.2,
            "release_s": 0.0,
            "deadline_s": 0.5,
        },
        {
            "id": "u1",
            "model": "dogs",
            "input_bits": 1,
            "spectral_efficiency": 0,
            "deadline_s": 1,
        },
    ],
}
GONE = object()


def with_value(path: str, value: Any) -> dict[str, Any]:
    """Copy the valid document with one value changed, added or taken away."""
    document = deepcopy(VALID)
    place: Any = document
    *way, last = (int(p) if p.isdigit() else p for p in path.split("."))
    for step in way:
        place = place[step]
    if value is GONE:
        del place[last]
    else:
        place[last] = value
    return document


def errors(path: str, value: Any) -> str:
    """Return what is said of a document with one value changed."""
    with pytest.raises(ValidationError) as caught:
        Problem.model_validate(with_value(path, value))
    return str(caught.value)


def test_a_valid_document_is_read_as_it_stands():
    """Values come out as they went in; defaults are those of the format."""
    problem = Problem.model_validate(VALID)
    assert problem.bandwidth_hz == 2e7
    assert problem.models["cats"].latency_s == (0.0027, 0.0041)
    assert problem.models["dogs"].activation_bytes is None
    assert problem.users[1].release_s == 0
    assert problem.users[0].demand_hz_s == 1200000 / 3.2
    assert problem.users[1].demand_hz_s == float("inf")


@pytest.mark.parametrize("path", ["gpu_memory_bytes", "resident_model"])
@pytest.mark.parametrize("value", [None, GONE])
def test_optional_values(path, value):
    """No memory limit and nothing resident are the defaults."""
    problem = Problem.model_validate(with_value(path, value))
    assert getattr(problem, path) is None


def test_no_users_is_a_valid_problem():
    """Nor does it need models or blocks."""
    document = {**VALID, "users": [], "models": {}, "blocks": {}}
    problem = Problem.model_validate({**document, "resident_model": None})
    assert problem.users == ()


@pytest.mark.parametrize(
    "path", ["gpu_memory_bytes", "blocks.stem.bytes", "models.cats.activation_bytes.0"]
)
def test_whole_numbers_may_be_written_with_an_exponent(path):
    """8e9 is a whole number, 0.5 is not."""
    problem = Problem.model_validate(with_value(path, 8e9))
    assert "8000000000" in problem.model_dump_json()
    assert "8000000000.0" not in problem.model_dump_json()
    assert "integer" in errors(path, 8.5)


NUMBERS = [
    "bandwidth_hz",
    "gpu_memory_bytes",
    "blocks.stem.bytes",
    "blocks.stem.load_s",
    "models.cats.latency_s.1",
    "models.cats.activation_bytes.1",
    "users.0.input_bits",
    "users.0.spectral_efficiency",
    "users.0.release_s",
    "users.0.deadline_s",
]


@pytest.mark.parametrize("path", NUMBERS)
@pytest.mark.parametrize(
    "value", [True, "1", float("nan"), float("inf"), float("-inf"), -1, [1.0]]
)
def test_numbers_are_finite_numbers_and_not_negative(path, value):
    """Neither booleans nor strings are numbers; the message names the field."""
    assert path in errors(path, value)


@pytest.mark.parametrize("path", NUMBERS)
def test_zero(path):
    """Loads, spectral efficiencies and releases may be 0, everything else not."""
    if path.endswith(("load_s", "spectral_efficiency", "release_s")):
        Problem.model_validate(with_value(path, 0))
    else:
        assert re.search(r"greater than (or equal to )?0", errors(path, 0))


@pytest.mark.parametrize("path", NUMBERS)
def test_numbers_have_a_largest(path):
    """Times stay below 1e6 s, where doubles keep 1e-9 s; the rest below 1e18 or so."""
    assert path in errors(path, 1e6 + 1 if path.endswith("_s") else 1e19)


@pytest.mark.parametrize("path", ["models.cats.latency_s.1", "users.0.deadline_s"])
def test_an_epoch_time_is_refused(path):
    """Seconds since 1970 leave no room for nanoseconds."""
    assert "1000000" in errors(path, 1.7e9)


def test_whole_numbers_have_a_limit():
    """Bytes stay within 63 bits, whatever the notation."""
    assert "blocks.stem.bytes" in errors("blocks.stem.bytes", 2**63)
    assert "blocks.stem.bytes" in errors("blocks.stem.bytes", 1e300)
    assert "bandwidth_hz" in errors("bandwidth_hz", 10**400)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("name", "", "at least 1 character"),
        ("name", 3, "valid string"),
        ("name", GONE, "Field required"),
        ("bandwidth_hz", GONE, "Field required"),
        ("users.0.deadline_s", GONE, "Field required"),
        ("blocks.stem.load_s", GONE, "Field required"),
        ("color", "red", "Extra inputs are not permitted"),
        ("users.0.slo_s", 1.0, "Extra inputs are not permitted"),
        ("blocks.stem.load_ms", 1.0, "Extra inputs are not permitted"),
        ("models.cats.batch", 1, "Extra inputs are not permitted"),
        ("models.cats.blocks", [], "at least 1 item"),
        ("models.cats.latency_s", [], "at least 1 item"),
        ("models.cats.blocks", "stem", "valid tuple"),
        (
            "models.cats.blocks",
            ["stem", "head", "stem"],
            "blocks must be distinct, found 'stem' twice",
        ),
        (
            "models.cats.activation_bytes",
            [1],
            "activation_bytes must be as long as latency_s (2), found 1 values",
        ),
        (
            "models.cats.blocks",
            ["stem", "tail"],
            "models.cats.blocks[1] must name a block of 'blocks', found 'tail'",
        ),
        (
            "users.1.model",
            "birds",
            "users[1].model must name a model of 'models', found 'birds'",
        ),
        (
            "resident_model",
            "birds",
            "resident_model must name a model of 'models' or be null, found 'birds'",
        ),
        ("users.1.id", "u0", "user ids must be unique, found 'u0' twice"),
        (
            "users.0.release_s",
            0.5,
            "deadline_s must be later than release_s (0.5), found 0.5",
        ),
        (
            "users.0.deadline_s",
            -1.0,
            "greater than or equal to",
        ),
    ],
)
def test_rules(path, value, message):
    """Each rule has a message that says what was found and what is allowed."""
    assert message in errors(path, value)


def test_fields_cannot_be_assigned():
    """A problem is a value, and so is all that it holds."""
    problem = Problem.model_validate(VALID)
    for value, name in (
        (problem, "bandwidth_hz"),
        (problem.users[0], "deadline_s"),
        (problem.models["cats"], "blocks"),
        (problem.blocks["stem"], "bytes"),
    ):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(value, name, 1)
    with pytest.raises(TypeError):
        problem.users[0] = problem.users[1]


def test_the_document_may_change_afterwards():
    """The problem keeps nothing of the caller's own."""
    document = deepcopy(VALID)
    problem = Problem.model_validate(document)
    before = problem.model_dump()
    document["blocks"]["stem"]["bytes"] = 1
    document["blocks"].clear()
    document["models"]["cats"]["latency_s"][0] = 9.0
    document["users"].clear()
    assert problem.model_dump() == before


def test_survives_a_round_trip_through_json():
    """What is written reads back equal."""
    problem = Problem.model_validate(VALID)
    assert Problem.model_validate_json(problem.model_dump_json()) == problem


@pytest.mark.parametrize(
    ("limit", "fits"),
    [
        (None, (False, True, True, False)),
        (39154, (False, True, False, False)),
        (39153, (False, False, False, False)),
        (40154, (False, True, True, False)),
    ],
)
def test_fits_counts_weights_and_activations(limit, fits):
    """Weights 38,154 bytes and 1,000 or 2,000 of activations; batches 0 to 3."""
    problem = Problem.model_validate(with_value("gpu_memory_bytes", limit))
    assert problem.weight_bytes("cats") == 38154
    assert tuple(problem.fits("cats", batch) for batch in range(4)) == fits


def test_without_activation_bytes_only_weights_count():
    """A model without them needs its weights alone."""
    problem = Problem.model_validate(with_value("gpu_memory_bytes", 38144))
    assert problem.fits("dogs", 1)
    assert not problem.fits("cats", 1)
