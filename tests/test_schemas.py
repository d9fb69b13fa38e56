"""Instance and schedule files: read, written, described by their JSON Schemas."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edgesim.errors import InputError
from edgesim.instances import (
    read_instance,
    read_schedule,
    write_instance,
    write_schedule,
)
from edgesim.names import check_solvers
from edgesim.profile.file import read_profile
from edgesim.schemas import SCHEMAS, json_schema
from edgesim.storage.files import read_toml
from solvers import UPLINKS, solve, verify
from tests.command import edgesim
from tests.examples import FIGURE, SCENARIO, instance

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Write a valid instance file."""
    file = tmp_path / "tiny.json"
    file.write_text(json.dumps(instance()))
    return file


def test_instance_round_trip(tiny: Path, tmp_path: Path) -> None:
    """Reading, writing and reading again gives the same problem and the same bytes."""
    problem = read_instance(tiny)
    write_instance(tmp_path / "one.json", problem)
    again = read_instance(tmp_path / "one.json")
    write_instance(tmp_path / "two.json", again)
    assert again == problem
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


@pytest.mark.parametrize("uplink", UPLINKS)
def test_schedule_round_trip(tiny: Path, tmp_path: Path, uplink: str) -> None:
    """A schedule read back is the one written: times are not rounded."""
    problem = read_instance(tiny)
    schedule = solve(problem, "dp", uplink=uplink).schedule
    write_schedule(tmp_path / "s.json", schedule)
    again = read_schedule(tmp_path / "s.json")
    assert again == schedule
    verify(problem, again)


def test_a_schedule_says_whether_it_was_made_without_sharing(
    tiny: Path, tmp_path: Path
) -> None:
    """A file says so where absence would mean the other; older ones by name."""
    place = tmp_path / "s.json"
    problem = read_instance(tiny)

    def written(name: str, *, sharing: bool) -> dict[str, Any]:
        def nothing(*_: object) -> list[Any]:
            return []

        found = solve(problem, nothing, name=name, sharing=sharing).schedule
        assert found.sharing == sharing
        write_schedule(place, found)
        assert read_schedule(place) == found
        document: dict[str, Any] = json.loads(place.read_text())
        return document

    assert "sharing" not in written("mine", sharing=True)
    assert written("mine", sharing=False)["sharing"] is False
    assert written("mine-noshare", sharing=True)["sharing"] is True
    older = written("mine-noshare", sharing=False)
    assert older.pop("sharing") is False
    place.write_text(json.dumps(older))
    assert not read_schedule(place).sharing
    place.write_text(json.dumps({**older, "solver": "mine"}))
    assert read_schedule(place).sharing
    place.write_text(json.dumps({**older, "sharing": 0}))
    with pytest.raises(InputError, match="sharing"):
        read_schedule(place)
    assert json_schema("schedule")["properties"]["sharing"]["type"] == "boolean"
    assert "sharing" not in json_schema("schedule")["required"]


def test_schedule_file_holds_what_the_format_says(tiny: Path, tmp_path: Path) -> None:
    """The keys of a schedule file are those of the format, in its order."""
    write_schedule(tmp_path / "s.json", solve(read_instance(tiny), "dp").schedule)
    document = json.loads((tmp_path / "s.json").read_text())
    assert list(document) == [
        *("schema", "instance", "solver", "uplink", "status", "served", "bound", "gap"),
        *("rounds", "bandwidth"),
    ]
    assert list(document["rounds"][0]) == [
        *("model", "users", "loaded_blocks", "loaded_bytes", "load_start_s", "load_s"),
        *("compute_start_s", "compute_s", "end_s"),
    ]
    assert document["bandwidth"][0]["segments"][0].keys() == {"start_s", "end_s", "hz"}


def test_whole_numbers_may_be_written_as_floats(tiny: Path) -> None:
    """8e9 bytes are 8,000,000,000 bytes."""
    document = instance() | {"gpu_memory_bytes": 8e9}
    tiny.write_text(json.dumps(document))
    assert read_instance(tiny).gpu_memory_bytes == 8_000_000_000


def test_no_users_is_valid(tiny: Path, tmp_path: Path) -> None:
    """An instance without users is solved, by a schedule without rounds."""
    tiny.write_text(json.dumps(instance() | {"users": []}))
    out = tmp_path / "out.json"
    assert edgesim("solve", tiny, "--solver", "ilp", "--out", out).code == 0
    assert read_schedule(out).rounds == ()


@pytest.mark.parametrize("name", SCHEMAS)
def test_schema_is_a_schema(name: str) -> None:
    """``edgesim schema NAME`` prints a valid JSON Schema with a description."""
    finished = edgesim("schema", name)
    assert finished.code == 0
    schema = json.loads(finished.out)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["description"]
    # A constraint that pydantic could not express would stand there as "gt" or "le".
    for word in ('"gt"', '"ge"', '"lt"', '"le"'):
        assert word not in finished.out


def test_schema_accepts_valid_files(tmp_path: Path, tiny: Path) -> None:
    """What edgesim reads or writes is valid by the schema it prints."""

    def valid(name: str, document: object) -> None:
        jsonschema.validate(document, json_schema(name))

    valid("instance", instance())
    write_schedule(tmp_path / "s.json", solve(read_instance(tiny), "dp").schedule)
    valid("schedule", json.loads((tmp_path / "s.json").read_text()))
    for text, name in ((SCENARIO, "scenario"), (FIGURE, "figure")):
        (tmp_path / "x.toml").write_text(text)
        valid(name, read_toml(tmp_path / "x.toml"))
    page = (REPOSITORY / "docs" / "formats.md").read_text(encoding="utf-8")
    (example,) = re.findall(r'^{"schema": "edgesim.sharing.*?^```', page, re.M | re.S)
    valid("sharing", json.loads(example.removesuffix("```")))
    for profile in (REPOSITORY / "profiles").glob("*.json"):
        valid("profile", read_profile(profile).document())  # some are of version 2
    for scenario in (REPOSITORY / "traces").glob("*.toml"):
        valid("scenario", read_toml(scenario))
    for figure in (REPOSITORY / "figures").glob("*.toml"):
        valid("figure", read_toml(figure))


def test_schema_refuses_what_edgesim_refuses() -> None:
    """The printed schema knows ranges, types and unknown keys too."""
    for wrong in ({"bandwidth_hz": 0}, {"bandwith_hz": 1.0}, {"users": {}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(instance() | wrong, json_schema("instance"))


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("local-search-noshare", True),
        ("mine:solve", True),
        ("my.solvers:best-noshare", True),
        ("magic", False),
        ("mine:", False),
        ("mine:solve-noshare-noshare", False),
        ("a b:c", False),
    ],
)
def test_schema_of_a_scenario_knows_solvers_as_edgesim_does(
    name: str, known: bool
) -> None:
    """Those that it ships, and the form of names of the user's own."""
    document = tomllib.loads(SCENARIO)
    document["run"]["solvers"] = [name]
    schema = json_schema("scenario")
    assert jsonschema.Draft202012Validator(schema).is_valid(document) is known
    if known:
        assert check_solvers((name,)) == (name,)
    else:
        with pytest.raises(ValueError, match="must be of dp, greedy"):
            check_solvers((name,))


def test_unknown_schema_name() -> None:
    """An unknown schema name is refused with the known ones."""
    finished = edgesim("schema", "trace")
    assert finished.code == 2
    assert "instance, schedule" in finished.err


def test_schedule_of_another_version_is_refused(tmp_path: Path) -> None:
    """A later version of a format is refused by name, never misread."""
    (tmp_path / "s.json").write_text('{"schema": "edgesim.schedule/2"}')
    with pytest.raises(InputError, match=r"edgesim\.schedule/1"):
        read_schedule(tmp_path / "s.json")
