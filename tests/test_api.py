"""The front door: everything public is listed, light to import, and documented."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgesim as es
from edgesim.shipped import data_file
from tests.command import edgesim as command

REPOSITORY = Path(__file__).parents[1]
REPEATS = 2
# Of the shipped online scenario: its first minute.
SHORT = {"workload.window_s": 60.0, "online.window_s": [10.0, 20.0]}


def test_every_public_name_is_there_and_documented() -> None:
    """Each has a docstring, and stands on the page that describes the front door."""
    page = (REPOSITORY / "docs" / "python.md").read_text(encoding="utf-8")
    for name in es.__all__:
        value = getattr(es, name)
        if name == "__version__":
            assert re.fullmatch(r"\d+\.\d+.*", value)
            continue
        assert value.__doc__, name
        assert f"`{name}`" in page, name
    assert dir(es) == es.__all__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = es.nothing


@pytest.fixture(scope="module")
def runs() -> es.Runs:
    """Run two solvers on the shipped campus."""
    return es.run("campus", solvers=["dp", "dp-noshare"], repeats=REPEATS)


def test_a_run_from_python_is_the_run_of_the_command(
    runs: es.Runs, tmp_path: Path
) -> None:
    """The same folder, but for run.json; and the table it prints."""
    finished = command(
        *("run", "campus", "--solver", "dp,dp-noshare", "--repeats", REPEATS),
        *("--out", tmp_path / "command"),
    )
    assert finished.code == 0, finished.err
    runs.write(tmp_path / "python")
    there = sorted(p for p in (tmp_path / "command").rglob("*") if p.is_file())
    assert len(there) >= 10
    for file in there:
        twin = tmp_path / "python" / file.relative_to(tmp_path / "command")
        if file.name != "run.json":
            assert twin.read_bytes() == file.read_bytes(), file
    # But for the solvers' run times, at the end of their rows.
    for mine, printed in zip(
        runs.table().splitlines(), finished.out.splitlines(), strict=False
    ):
        assert mine[:75] == printed[:75]


def assert_same(one: es.Columns, other: es.Columns) -> None:
    """Compare tables: columns, types and values."""
    assert list(one) == list(other)
    for name in one:
        assert one[name].dtype == other[name].dtype, name
        np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize("scenario", ["campus", "online-campus"])
def test_a_folder_gives_back_what_was_written(scenario: str, tmp_path: Path) -> None:
    """Columns with their types, summary, table and records."""
    if scenario == "campus":
        made = es.run(scenario, solvers=["greedy"], repeats=1)
    else:
        value = es.read_scenario(scenario).replace(**SHORT)
        made = es.run(value, policies=["fcfs", "fcfs-noshare"])
    back = es.read_run(made.write(tmp_path / "out"))
    assert_same(made.requests(), back.requests())
    assert_same(made.rounds(), back.rounds())
    assert made.table() == back.table()
    assert made.to_dict() == back.to_dict()
    assert made.info["scenario"] == back.info["scenario"]
    with pytest.raises(es.InputError, match="those of a folder"):
        back.write(tmp_path / "again")


def test_columns_are_arrays_by_name(runs: es.Runs) -> None:
    """One row a request of every solver and repeat."""
    requests = runs.requests()
    count = sum(runs.summary["requests"]) * 2
    assert {len(values) for values in requests.values()} == {count}
    assert requests["repeat"].dtype == np.int64
    assert set(requests["solver"]) == {"dp", "dp-noshare"}
    in_time = (requests["outcome"] == "in time") & (requests["solver"] == "dp")
    record = runs.to_dict("records")[0]
    assert record["solver"] == "dp"
    assert record["in_time"] == in_time.sum() / REPEATS
    assert np.isnan(requests["end_s"][requests["outcome"] == "dropped"]).all()
    assert repr(requests).startswith(f"Columns({count} rows: repeat, solver, id")
    with pytest.raises(es.InputError, match="'records'"):
        runs.to_dict("index")


def test_a_scenario_is_changed_in_python() -> None:
    """By key path, as often as one likes; the value it came from stays."""
    campus = es.read_scenario("campus")
    wide = campus.replace(**{"cell.bandwidth_hz": 40e6, "run.solvers": ["dp"]})
    assert (campus.cell.bandwidth_hz, wide.cell.bandwidth_hz) == (20e6, 40e6)
    more = wide.replace(**{"library.clusters[0].variants": 30})
    assert more.library.clusters[0].variants == 30  # type: ignore[union-attr]
    assert es.run(more, repeats=1).summary["library"]["models"] > 24
    with pytest.raises(es.InputError, match=r"cell\.bandwidth_hz"):
        campus.replace(**{"cell.bandwidth_hz": -1.0})
    with pytest.raises(es.InputError, match="unknown key"):
        campus.replace(**{"cell.bandwith_hz": 1.0})


def greedy_too(problem, uplink, options):  # type: ignore[no-untyped-def]
    """Answer what greedy answers."""
    del options
    rounds = es.solve(problem, "greedy", uplink=uplink).schedule.rounds
    return [(r.model, r.users) for r in rounds]


class FirstQueue(es.Policy):
    """Serve the first model that has requests waiting."""

    def choose(self, server):  # type: ignore[no-untyped-def]
        """Choose the first queue."""
        for model, queue in enumerate(server.waiting):
            if queue:
                return queue[: server.most[model]]
        return None


def test_solvers_may_be_functions() -> None:
    """Beside ours, by their name or one given; and what they break is named."""
    runs = es.run("campus", solvers=["greedy", greedy_too], repeats=1)
    ours, theirs = runs.to_dict()
    assert theirs.pop("solver") == "greedy_too"
    assert ours.pop("solver") == "greedy"
    assert ours == theirs
    named = es.run("campus", solvers={"mine": greedy_too, "dp": "dp"}, repeats=1)
    assert list(named.summary["solvers"]) == ["mine", "dp"]
    with pytest.raises(es.InputError, match=r"twice: .*is in round 0 already"):
        es.run(
            "campus",
            solvers={"twice": lambda p, u, o: greedy_too(p, u, o) * 2},
            repeats=1,
        )


def test_policies_may_be_classes() -> None:
    """Beside ours; an instance would serve one run, so the class is handed over."""
    value = es.read_scenario("online-campus").replace(**SHORT)
    runs = es.run(value, policies=[FirstQueue, "greedy"])
    assert list(runs.summary["policies"]) == ["FirstQueue", "greedy"]
    assert set(runs.rounds()["policy"]) == {"FirstQueue", "greedy"}


@pytest.mark.parametrize(
    ("keywords", "what"),
    [
        ({"solvers": "dp"}, "solvers: must be a list or mapping"),
        ({"solvers": [3]}, "solvers: must be names or callables"),
        ({"solvers": ["nope"]}, "solvers: must be of dp"),
        ({"policies": ["fcfs"]}, "policies: are for online scenarios"),
        ({"solvers": {"mine": "dp"}}, "must be an object of your own"),
        ({"repeats": 0}, "^repeats: "),
        ({"seed": -1}, "^seed: "),
        ({"trace": 3}, "^trace: must be a name, a file or a Trace"),
        ({"profile": 3}, "^profile: must be a name, a file or a Profile"),
        ({"solvers": {"../evil": greedy_too}}, "^solvers: must be names of 1 to 200"),
        ({"solvers": {"a/b": greedy_too}}, "^solvers: must be names of 1 to 200"),
        ({"solvers": {"": greedy_too}}, "^solvers: must be names of 1 to 200"),
        ({"solvers": {"instance": greedy_too}}, "must not be 'instance'"),
        ({"solvers": {"a:b": greedy_too, "a-b": greedy_too}}, "differ by more"),
        ({"uplink": "fifo"}, "^uplink: "),
        ({"profile": "none"}, "profile: must be a file or one of"),
    ],
)
def test_what_is_wrong_is_an_input_error(
    keywords: dict[str, object], what: str
) -> None:
    """It names the parameter, or the key of the scenario."""
    with pytest.raises(es.InputError, match=what):
        es.run("campus", **keywords)  # type: ignore[arg-type]


def test_values_may_be_objects(tmp_path: Path) -> None:
    """A trace, a profile and a scenario, as files or as they are."""
    campus = data_file("traces", "campus.toml")
    assert campus is not None
    by_name = es.run("campus", solvers=["edf"], repeats=1)
    objects = es.run(
        es.read_scenario(campus),
        solvers=["edf"],
        repeats=1,
        trace=es.read_trace("campus.csv"),
        profile=es.read_profile("clockwork-v100"),
    )
    assert objects.to_dict() == by_name.to_dict()
    assert objects.info["inputs"]["trace"] == {"file": "(in memory)", "sha256": None}
    assert objects.write(tmp_path / "out") == tmp_path / "out"


def stream(count: int) -> list[es.Request]:
    """Make requests for two models, the last one without a link."""
    return [
        es.Request(0.05 * k, f"u{k % 3}", "ab"[k % 2], 1e6, 4.0 * (k < count - 1), 0.4)
        for k in range(count)
    ]


def small_problem() -> es.Problem:
    """Make two models that share a block."""
    return es.Problem.model_validate(
        {
            "name": "small",
            "bandwidth_hz": 20e6,
            "blocks": {
                "stem": {"bytes": 80, "load_s": 0.08},
                "a": {"bytes": 10, "load_s": 0.01},
                "b": {"bytes": 10, "load_s": 0.01},
            },
            "models": {
                "a": {"blocks": ["stem", "a"], "latency_s": [0.01, 0.015]},
                "b": {"blocks": ["stem", "b"], "latency_s": [0.01, 0.015]},
            },
            "users": [],
        }
    )


def test_one_online_run_from_values() -> None:
    """Requests in any order; a shipped policy by name does what its class does."""
    served = es.simulate(small_problem(), stream(9)[::-1], FirstQueue())
    requests = served.requests()
    assert requests["arrival_s"].tolist() == sorted(r.arrival_s for r in stream(9))
    assert requests["reason"][-1] == "no link"
    assert served.measures.in_time == (requests["outcome"] == "in time").sum() > 5
    assert served.rounds()["loaded_bytes"][0] == 90
    for policy, sharing in (("fcfs", False), ("fcfs-noshare", True)):
        alone = es.simulate(small_problem(), stream(9), policy, sharing=sharing)
        assert set(alone.rounds()["loaded_bytes"]) <= {0, 90}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"uplink": "static"}, "uplink: must be one of fifo"),
        ({"late": "never"}, "late: must be one of drop"),
        ({"bandwidth_hz": 0.0}, "bandwidth_hz"),
        ({"policy": "nope"}, "^policy: 'nope' is no policy"),
        ({"policy": FirstQueue}, "^policy: must be a name or an instance"),
        ({"queue_limit": -1}, "^queue_limit: must be a whole number above 0"),
        ({"requests": None}, "^requests: must be a list"),
        ({"requests": [es.Request(0.0, "u", "c", 1.0, 1.0, 1.0)]}, "must be a model"),
        ({"requests": [1]}, r"requests\[0\]: must be an edgesim.Request"),
    ],
)
def test_values_that_make_no_run_are_named(
    change: dict[str, object], what: str
) -> None:
    """The error says which parameter it is."""
    given = {"requests": stream(3), "policy": "fcfs"} | change
    requests, policy = given.pop("requests"), given.pop("policy")
    with pytest.raises(es.InputError, match=what):
        es.simulate(small_problem(), requests, policy, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ((-1.0, "u", "m", 1.0, 1.0, 1.0), "arrival_s: must be from 0 to 1e.10"),
        ((0.0, "", "m", 1.0, 1.0, 1.0), "user: must be a name"),
        ((0.0, "u", "m", 0.0, 1.0, 1.0), "input_bits: must be from 1e-12 to 8e.17"),
        ((0.0, "u", "m", 1.0, -1.0, 1.0), "spectral_efficiency: must be from 0"),
        ((0.0, "u", "m", 1.0, 1.0, float("inf")), "slo_s: must be from 1e-12 to 1e.09"),
        ((0.0, "u", "m", "1", 1.0, 1.0), "input_bits: must be a number"),
        ((True, "u", "m", 1.0, 1.0, 1.0), "arrival_s: must be a number"),
        ((10**400, "u", "m", 1.0, 1.0, 1.0), "arrival_s: must be from 0 to 1e"),
        ((0.0, "u", "m", 1.0, 1.0, float("nan")), "slo_s: must be from .* found nan"),
    ],
)
def test_a_request_checks_itself(values: tuple[object, ...], what: str) -> None:
    """Each value has its range."""
    with pytest.raises(es.InputError, match=what):
        es.Request(*values)  # type: ignore[arg-type]


def test_a_folder_that_holds_no_run_is_refused(tmp_path: Path) -> None:
    """With the file that is missing, or not what it should be."""
    with pytest.raises(es.InputError, match=r"summary\.json"):
        es.read_run(tmp_path)
    (tmp_path / "summary.json").write_text('{"schema": "x"}')
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(es.InputError, match="no folder of a run"):
        es.read_run(tmp_path)


def test_code_that_a_file_names_needs_consent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused without a look at it; with consent it runs beside the others."""
    monkeypatch.chdir(tmp_path)
    campus = data_file("traces", "campus.toml")
    assert campus is not None
    text = campus.read_text(encoding="utf-8")
    named = re.sub(r"(?m)^solvers = .*$", 'solvers = ["edf", "apimine:solve"]', text)
    assert named != text
    (tmp_path / "own.toml").write_text(named, encoding="utf-8")
    (tmp_path / "apimine.py").write_text(
        "from pathlib import Path\n"
        "Path('imported').touch()\n"
        "def solve(problem, uplink, options):\n"
        "    return []\n"
    )
    with pytest.raises(es.InputError, match=r"run\.solvers: 'apimine:solve' is code"):
        es.run("own.toml", repeats=1)
    assert not (tmp_path / "imported").exists()
    runs = es.run("own.toml", repeats=1, own_code=True)
    assert runs.summary["solvers"]["apimine:solve"]["served"]["mean"] == 0.0
    # What is named in Python is its own consent.
    again = es.run("campus", solvers=["apimine:solve"], repeats=1)
    assert list(again.summary["solvers"]) == ["apimine:solve"]


def test_a_scenario_read_from_a_file_is_no_consent_to_what_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Changed or not; what is put into it in Python is."""
    monkeypatch.chdir(tmp_path)
    campus = data_file("traces", "campus.toml")
    assert campus is not None
    text = campus.read_text(encoding="utf-8")
    (tmp_path / "theirs.toml").write_text(
        re.sub(r"(?m)^solvers = .*$", 'solvers = ["apitheirs:solve"]', text)
    )
    (tmp_path / "apitheirs.py").write_text(
        "def solve(problem, uplink, options):\n    return []\n"
    )
    theirs = es.read_scenario("theirs.toml")
    for scenario in (theirs, theirs.replace(**{"run.repeats": 1})):
        with pytest.raises(es.InputError, match="only with your consent"):
            es.run(scenario)
    assert es.run(theirs, repeats=1, own_code=True).summary["repeats"] == 1
    mine = es.read_scenario("campus").replace(**{"run.solvers": ["apitheirs:solve"]})
    assert list(es.run(mine, repeats=1).summary["solvers"]) == ["apitheirs:solve"]


def test_a_solver_that_changes_the_problem_changes_its_own_copy() -> None:
    """It is judged by the problem as it was, and so are those after it."""

    def cheats(problem, uplink, options):  # type: ignore[no-untyped-def]
        for name, block in problem.blocks.items():
            problem.blocks[name] = block.model_copy(update={"load_s": 0.0})
        problem.models.pop(next(iter(problem.models)))
        return []

    plain = es.run("campus", solvers=["greedy"], repeats=1)
    after = es.run("campus", solvers=[cheats, "greedy"], repeats=1)
    assert after.to_dict()[1] == plain.to_dict()[0]


@pytest.mark.parametrize(
    "tamper",
    [
        "server.tables.atom_load_s[:] = 0.0",
        "server.batch_s[0][1] = 0.0",
        "server.waiting[0].clear()",
        "server.load_s()[0] = 0.0",
        "server.most[0] = 99",
        "server.tables.problem.blocks.clear()",
    ],
)
def test_a_policy_cannot_change_what_it_is_shown(tamper: str) -> None:
    """It fails, or changes a copy: the run is that of a policy that only looks."""

    class Tampers(FirstQueue):
        def start(self, server):  # type: ignore[no-untyped-def]
            exec(tamper, {"server": server})

    plain = es.simulate(small_problem(), stream(9), FirstQueue())
    with suppress(es.PolicyError):
        tampered = es.simulate(small_problem(), stream(9), Tampers())
        assert_same(tampered.requests(), plain.requests())
        assert_same(tampered.rounds(), plain.rounds())


def test_only_plans_answer_with_rounds_of_a_model() -> None:
    """A policy of one's own chooses requests; it cannot name another model."""
    from edgesim.engine.policy import Choice

    class Swaps(es.Policy):
        def choose(self, server):  # type: ignore[no-untyped-def]
            waiting = [queue for queue in server.waiting if queue]
            return Choice(1 - waiting[0][0].model, [waiting[0][0]]) if waiting else None

    with pytest.raises(es.PolicyError, match="which is no request"):
        es.simulate(small_problem(), stream(3), Swaps())


def test_requests_take_numbers_of_numpy() -> None:
    """As columns of a data frame hold them."""
    made = es.Request(np.float32(0.5), "u", "a", np.int64(8), np.float64(2.0), 1)
    assert made == es.Request(0.5, "u", "a", 8.0, 2.0, 1.0)
    assert type(made.input_bits) is float


def test_solve_takes_a_name_of_ones_own_and_tells_where_it_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the command does, with and without sharing."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "apisolve.py").write_text(
        "def good(problem, uplink, options):\n"
        "    assert len(problem.models['a'].blocks) == 1\n"
        "    return []\n"
        "def bad(problem, uplink, options):\n"
        "    return 1 / 0\n"
    )
    problem = small_problem()
    assert es.solve(problem, "apisolve:good-noshare").served == 0
    with pytest.raises(es.OwnSolverError, match=r"ZeroDivisionError.*apisolve\.py:5"):
        es.solve(problem, "apisolve:bad")
    with pytest.raises(es.OwnSolverError, match="ZeroDivisionError"):
        es.solve(problem, lambda p, u, o: 1 / 0, sharing=False)
    with pytest.raises(es.EdgesimError, match="solver must be one of"):
        es.solve(problem, "nope")
    with pytest.raises(es.RefusalError, match="use greedy"):
        es.solve(problem.model_copy(update={"overlap": True}), "dp")


def test_what_a_file_leaves_open_is_chosen_for_values_too() -> None:
    """The shipped scenario for one's own models is completed, read or by its name."""
    by_name = es.run("own-models", trace="campus.csv", solvers=["edf"])
    read = es.run(es.read_scenario("own-models"), trace="campus.csv", solvers=["edf"])
    assert read.to_dict() == by_name.to_dict()
    assert read.info["assumed"] == by_name.info["assumed"] != []
    fewer = es.read_scenario("own-models").replace(**{"run.repeats": 2})
    given = {"workload.window_s": 1.0}
    runs = es.run(fewer.replace(**given), trace="campus.csv", solvers=["edf"])
    assert runs.summary["repeats"] == 2


def test_damaged_tables_are_named(runs: es.Runs, tmp_path: Path) -> None:
    """File, line or column, and what is wrong."""
    folder = runs.write(tmp_path / "out")
    rounds = folder / "rounds.csv"
    text = rounds.read_text()
    rounds.write_text(text.rpartition(",")[0] + "\n")
    with pytest.raises(es.InputError, match=r"rounds\.csv:\d+: must have 20 cells"):
        es.read_run(folder).rounds()
    rounds.write_text(text.replace(",0,", ",x,", 1))
    with pytest.raises(es.InputError, match=r"rounds\.csv: \w+: must hold numbers"):
        es.read_run(folder).rounds()
    rounds.write_text("")
    with pytest.raises(es.InputError, match="it is empty"):
        es.read_run(folder).rounds()
    (folder / "summary.json").write_text('{"schema": "edgesim.summary/1"}')
    with pytest.raises(es.InputError, match="scenario: required key is missing"):
        es.read_run(folder)


def test_columns_become_a_data_frame(
    runs: es.Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By pandas, where it is: it is handed the arrays."""
    from types import SimpleNamespace

    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=dict))
    rounds = runs.rounds()
    assert rounds.to_pandas() == dict(rounds)


@pytest.mark.parametrize("solver", [lambda problem: [], str.upper])
def test_what_cannot_be_called_as_a_solver_is_told(solver: Any) -> None:
    """Handed over as an object, where no name is checked before."""
    with pytest.raises(es.EdgesimError, match=r"must be a function of \(problem, up"):
        es.run("campus", solvers={"mine": solver}, repeats=1)


def test_a_run_takes_numbers_of_numpy() -> None:
    """As a notebook has them."""
    runs = es.run("campus", solvers=["edf"], repeats=np.int64(1), seed=np.int32(4))  # type: ignore[arg-type]
    assert runs.info["seed"] == 4


def test_an_instance_of_a_policy_is_refused_by_name_too() -> None:
    """It serves one run."""

    class Mine(es.Policy):
        def choose(self, server: es.View) -> None:
            return None

    with pytest.raises(es.InputError, match=r"^policies: must be names or classes"):
        es.run("online-campus", policies={"mine": Mine()})


def test_what_no_file_can_hold_is_no_option() -> None:
    """It could not be written down in run.json."""
    scenario = es.read_scenario("online-campus")
    changed = {"online.policies": ["rolling"], "online.rolling": {"solver": print}}
    with pytest.raises(es.InputError, match="must be a value that a file can hold"):
        scenario.replace(**changed)


def test_a_result_does_not_replace_the_scenario_it_is_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Handed over as a value; nor inputs by another current folder."""
    shipped = data_file("traces", "campus.toml")
    trace = data_file("traces", "campus.csv")
    assert shipped is not None
    assert trace is not None
    place = tmp_path / "out" / "plans" / "0" / "mine.json"
    monkeypatch.chdir(tmp_path)
    place.parent.mkdir(parents=True)
    (tmp_path / "out" / "summary.json").write_bytes(shipped.read_bytes())
    (tmp_path / "mine.toml").write_bytes(shipped.read_bytes())
    (tmp_path / "out" / "requests.csv").write_bytes(trace.read_bytes())
    runs = es.run("mine.toml", trace="out/requests.csv", solvers=["edf"], repeats=1)
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    (tmp_path / "out" / "summary.json").write_text('{"schema": "edgesim.summary/1"}')
    with pytest.raises(es.InputError, match="would replace the input"):
        runs.write("../out")
    value = es.read_scenario(tmp_path / "mine.toml")
    runs = es.run(value, solvers=["edf"], repeats=1)
    (tmp_path / "folder").mkdir()
    (tmp_path / "mine.toml").rename(tmp_path / "folder" / "mine.toml")
    with pytest.raises(es.InputError, match=r"holds 'mine\.toml', but no earlier"):
        runs.write(tmp_path / "folder")
    with pytest.raises(es.InputError, match=r"^folder: must be a path"):
        runs.write(None)  # type: ignore[arg-type]


def test_what_python_names_again_runs_beside_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scenario read from a file that names code, and the same names by hand."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "again_for_test", raising=False)
    campus = data_file("traces", "campus.toml")
    assert campus is not None
    text = campus.read_text(encoding="utf-8")
    text = re.sub(r"(?m)^solvers = .*$", 'solvers = ["edf", "again_for_test:f"]', text)
    (tmp_path / "own.toml").write_text(text, encoding="utf-8")
    (tmp_path / "again_for_test.py").write_text(
        "def f(problem, uplink, options):\n    return []\n"
    )
    trace = data_file("traces", "campus.csv")
    assert trace is not None
    value = es.read_scenario("own.toml").replace(**{"run.repeats": 1})
    names = ["again_for_test:f"]
    with pytest.raises(es.EdgesimError, match="only with your consent"):
        es.run(value, trace=trace)
    for solvers in (names, {names[0]: lambda problem, uplink, options: []}):
        runs = es.run(value, trace=trace, solvers=solvers)  # type: ignore[arg-type]
        assert list(runs.summary["solvers"]) == names
    es.run(value.replace(**{"run.solvers": names}), trace=trace)
    es.run(value.replace(**{"run.solvers[1]": names[0]}), trace=trace)
    with pytest.raises(es.EdgesimError, match="only with your consent"):
        es.run(value.replace(**{"run.solvers[0]": "dp"}), trace=trace)


def test_a_table_that_is_given_stays_as_it_is() -> None:
    """A longer key path changes the scenario's copy, not the caller's."""
    gpu = {"memory_bytes": 10**9}
    changed = es.read_scenario("campus").replace(**{"gpu": gpu, "gpu.overlap": True})
    assert changed.gpu.overlap
    assert gpu == {"memory_bytes": 10**9}
    with pytest.raises(es.InputError, match="there is no list, and so no item 0"):
        es.read_scenario("online-campus").replace(**{"online.faults[0].kind": "burst"})
