"""What a file names runs only with consent; a name that was typed is consent to it."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from edgesim.errors import InputError
from edgesim.experiment.inputs import load_inputs
from edgesim.experiment.run import run_all
from tests.command import edgesim
from tests.examples import FIGURE
from tests.own_solvers.mine import NAMED, ONLINE, check_refused, rows_of, write_figure


@pytest.mark.parametrize("case", NAMED)
def test_what_a_scenario_names_runs_only_with_consent(case: str) -> None:
    """It is not even imported; the refusal is the command to repeat."""
    text, place = NAMED[case]
    Path("it is mine.toml").write_text(text)
    with Path("mine_for_test.py").open("a") as module:
        module.write("from edgesim.engine.policies.in_order import Fcfs as Policy\n")
    finished = edgesim("run", "it is mine.toml", "--out", "out")
    command = "edgesim run 'it is mine.toml' --out out --own-code"
    check_refused(
        finished,
        f"it is mine.toml: {place} is code that is not part of edgesim, which runs "
        f"only with your consent; if you trust it: {command}",
    )
    assert not Path("imported").exists()
    assert not Path("out").exists()
    finished = edgesim(*shlex.split(command)[1:])
    assert finished.code == 0, finished.err
    assert Path("imported").exists()
    assert Path("out/summary.json").exists()


def test_names_on_the_command_line_are_consent_to_these_alone() -> None:
    """To the policy, say, but not to the solver that its options name."""
    Path("x.toml").write_text(NAMED["solver"][0])
    words = ("run", "x.toml", "--out", "out", "--solver")
    assert edgesim(*words, "mine_for_test:good").code == 0
    Path("imported").unlink()
    Path("x.toml").write_text(ONLINE.replace('["rolling"]', '["fcfs", "rolling"]'))
    finished = edgesim("run", "x.toml", "--policy", "rolling", "--out", "y")
    assert finished.code == 2
    assert "online.rolling.solver: 'mine_for_test:good' is code" in finished.err
    assert not Path("y").exists()


def test_names_given_in_python_are_consent_and_so_is_a_parameter() -> None:
    """As overrides; what the file names needs ``own_code``."""
    given = {"run.solvers": ["mine_for_test:good"], "run.repeats": 1}
    (one,) = run_all(load_inputs(Path("small.toml"), overrides=given))
    assert one.result.schedule.solver == "mine_for_test:good"
    Path("x.toml").write_text(NAMED["solver"][0])
    with pytest.raises(InputError, match=r"only with your consent$"):
        load_inputs(Path("x.toml"))
    assert len(list(run_all(load_inputs(Path("x.toml"), own_code=True)))) == 4


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_figure_runs_it_with_consent_in_every_process(jobs: int) -> None:
    """Consent goes along to workers; without it nothing is imported."""
    file = write_figure(
        '["mine_for_test:good", "greedy", "mine_for_test:good-noshare"]'
    )
    finished = edgesim("figure", file, "--jobs", jobs)
    check_refused(
        finished,
        f"fig.toml: run.solvers: 'mine_for_test:good' is code that is not part of "
        f"edgesim, which runs only with your consent; if you trust it: "
        f"edgesim figure fig.toml --jobs {jobs} --own-code",
    )
    assert not Path("imported").exists()
    finished = edgesim("figure", file, "--jobs", jobs, "--own-code")
    assert finished.code == 0, finished.err
    rows = rows_of("fig.csv")
    served = {
        name: [row["in_time"] for row in rows if row["solver"] == name]
        for name in ("mine_for_test:good", "greedy", "mine_for_test:good-noshare")
    }
    assert served["mine_for_test:good"] == served["greedy"]
    assert len(served["mine_for_test:good-noshare"]) == 4


def test_what_a_scenario_of_a_figure_names_needs_consent_too() -> None:
    """Whether its own file names it or the scenario it is of."""
    Path("small.toml").write_text(NAMED["solver"][0])
    Path("fig.toml").write_text(FIGURE)
    assert "only with your consent" in edgesim("figure", "fig.toml").err
    assert not Path("imported").exists()
