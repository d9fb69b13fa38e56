"""Folders of runs that are damaged: one error that names file and key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import edgesim as es

WRONG = (None, "x", -1, [], {}, 1e999, 1e308)


@pytest.fixture(scope="module", params=["plan", "online"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Path:
    """Write down a run of each kind."""
    place: Path = tmp_path_factory.mktemp("run") / "out"
    if request.param == "plan":
        runs = es.run("campus", solvers=["greedy", "greedy-noshare"], repeats=1)
    else:
        day = es.read_scenario("online-campus").replace(
            **{"workload.window_s": 40.0, "online.window_s": [20.0, 30.0]}
        )
        runs = es.run(day, policies=["greedy", "greedy-noshare"])
    return runs.write(place)


def _places(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every key, of several solvers or policies the first, of every list its first."""
    if path:
        yield path
    if isinstance(content, dict):
        one_is_enough = path[-1:] in (("solvers",), ("policies",))
        for key, value in list(content.items())[: 1 if one_is_enough else None]:
            if path[:1] != ("scenario",):  # a key of run.json that nothing looks into
                yield from _places(value, (*path, key))
    elif isinstance(content, list) and content:
        yield from _places(content[0], (*path, 0))


def _use(folder: Path) -> None:
    runs = es.read_run(folder)
    assert repr(runs)
    assert runs.table()
    assert runs.to_dict()


@pytest.mark.parametrize("name", ["summary.json", "run.json"])
def test_no_damage_ends_in_another_error(folder: Path, name: str) -> None:
    """Each value dropped or replaced by another kind: refused by name, or of no use."""
    file = folder / name
    whole = file.read_text(encoding="utf-8")
    refused = 0
    try:
        for path in _places(json.loads(whole)):
            for wrong in (*WRONG, ...):
                content = json.loads(whole)
                place = content
                for part in path[:-1]:
                    place = place[part]
                if wrong is ...:
                    del place[path[-1]]
                else:
                    place[path[-1]] = wrong
                file.write_text(json.dumps(content), encoding="utf-8")
                try:
                    _use(folder)
                except es.InputError as error:
                    assert name in str(error)  # noqa: PT017
                    refused += 1
        for text in ("[]", "{", "", "null"):
            file.write_text(text, encoding="utf-8")
            with pytest.raises(es.InputError, match=name):
                _use(folder)
    finally:
        file.write_text(whole, encoding="utf-8")
    assert refused > 50


@pytest.mark.parametrize("name", ["requests.csv", "rounds.csv"])
def test_damaged_tables_are_told(folder: Path, name: str) -> None:
    """A column that is gone or there twice, and numbers that are none."""
    file = folder / name
    whole = file.read_text(encoding="utf-8")
    header, _, rows = whole.partition("\n")
    last = header.rpartition(",")[2]
    damaged = {
        "required column is missing": f"{header}_\n{rows}",
        "stands twice": f"{header},{last}\n" + rows.replace("\n", ",1\n"),
        "must hold numbers": f"{header}\n" + "9" * 30 + rows[1:],
    }
    if name == "rounds.csv":
        damaged["end_s: must hold numbers"] = whole.rpartition(",")[0] + ",inf\n"
    try:
        for what, text in damaged.items():
            file.write_text(text, encoding="utf-8")
            runs = es.read_run(folder)
            with pytest.raises(es.InputError, match=what):
                runs.requests() if name == "requests.csv" else runs.rounds()
    finally:
        file.write_text(whole, encoding="utf-8")
