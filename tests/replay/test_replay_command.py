"""The command ``edgesim replay``, from files to a folder."""

from __future__ import annotations

import csv
import io
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from edgesim.cli.progress import progress
from edgesim.instances import write_instance, write_schedule
from edgesim.profile.file import write_profile
from edgesim.replay import session
from edgesim.replay.report import OUTPUTS
from edgesim.storage.manifest import MANIFEST
from solvers import Problem, Schedule
from tests.command import Finished, edgesim
from tests.replay import cases


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty folder; the tests' networks are found all the same."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    monkeypatch.chdir(tmp_path)


def _files(problem: Problem | None = None, **changes: Any) -> None:
    """Write edf.json, instance.json and small.json into the current folder."""
    problem = cases.problem() if problem is None else problem
    write_instance(Path("instance.json"), problem)
    write_schedule(Path("edf.json"), cases.schedule(problem))
    write_profile(Path("small.json"), cases.profile(**changes))


def _replay(*options: object) -> Finished:
    return edgesim(
        "replay", "edf.json", "--profile", "small.json", "--device", "cpu", *options
    )


def _edited(**changes: Any) -> Schedule:
    problem = cases.problem()
    return cases.schedule(problem).model_copy(update=changes)


def test_files_become_a_folder_and_a_table() -> None:
    """The whole path on the CPU with a real network; the table is on stdout too."""
    _files()
    done = _replay("--factories", "call", "--repeats", "2")
    assert done.code == 0, done.err
    folder = Path("results/replay-edf")
    assert {path.name for path in folder.iterdir()} == {MANIFEST, *OUTPUTS}
    assert done.out == (folder / "errors.md").read_text() + f"results in {folder}\n"
    with (folder / "rounds.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    for row in rows:
        assert float(row["measured_load_s"]) > 0
        assert float(row["measured_compute_s"]) > 0
    document = json.loads((folder / "replay.json").read_text())
    assert document["inputs"].keys() == {"schedule", "instance", "profile"}
    assert document["compute_left_out"] == {}
    assert document["command"].startswith("edgesim replay edf.json --profile")
    assert Path("results").exists()
    assert [path.name for path in Path("results").iterdir()] == ["replay-edf"]


def test_an_earlier_result_is_replaced_and_all_but_measurements_is_the_same() -> None:
    """Twice the same command: every simulated number, the same bytes."""
    _files()

    def once() -> list[dict[str, str]]:
        done = _replay("--factories", "call", "--back-to-back", "--out", "out")
        assert done.code == 0, done.err
        with Path("out/rounds.csv").open() as file:
            return [
                {
                    k: v
                    for k, v in row.items()
                    if "measured" not in k and "error" not in k
                }
                for row in csv.DictReader(file)
            ]

    assert once() == once()


@pytest.mark.parametrize("tier", ["pageable", "disk"])
def test_each_tier_can_be_asked_for(tier: str) -> None:
    """The tier is what is said; the profile's is the default."""
    _files()
    done = _replay("--factories", "skip", "--load-from", tier, "--repeats", "1")
    assert done.code == 0, done.err
    document = json.loads(Path("results/replay-edf/replay.json").read_text())
    assert document["options"]["load_from"] == tier
    assert [path.name for path in Path("results").iterdir()] == ["replay-edf"]


def test_a_shipped_profile_of_another_device_is_replayed() -> None:
    """Published V100 numbers on a CPU: no common tier, no network, and it says so."""
    _files()
    done = edgesim(
        "replay", "edf.json", "--profile", "clockwork-v100", "--device", "cpu"
    )
    assert done.code == 0, done.err
    assert done.out.startswith("The simulated times are of NVIDIA V100 (published)")
    assert "net-v01, net-v02 (the profile has no such model)" in done.out
    assert "the profile holds no pageable load times" in done.out


def test_no_rounds_are_a_valid_schedule() -> None:
    """Exit 0, an empty table, every file."""
    _files(cases.problem(()))
    done = _replay()
    assert done.code == 0, done.err
    assert "no rounds" in done.out
    assert {p.name for p in Path("results/replay-edf").iterdir()} == {
        MANIFEST,
        *OUTPUTS,
    }


def test_a_schedule_without_sharing_is_judged_without() -> None:
    """Loads of whole models are accepted under a -noshare name, and replayed."""
    _files()
    problem = cases.problem()
    write_schedule(Path("edf.json"), cases.schedule(problem, solver="greedy-noshare"))
    done = _replay("--factories", "skip", "--repeats", "1")
    assert done.code == 0, done.err
    assert "6 copies a repeat" in done.out


def _refused(done: Finished, *words: str) -> None:
    """Exit 2, one line with these words, and nothing left behind."""
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    for word in words:
        assert word in done.err
    assert not Path("results").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--device", "tpu"], ["--device"]),
        (["--device", "cuda:99"], ["--device", "cuda:99"]),
        (["--load-from", "pinned"], ["--load-from", "pageable, disk", "'pinned'"]),
        (["--load-from", "tape"], ["--load-from", "'tape'"]),
        (["--repeats", "0"], ["--repeats"]),
        (["--seed", "-1"], ["--seed"]),
        (["--factories", "maybe"], ["--factories", "'maybe'"]),
        (["--instance", "gone.json"], ["gone.json", "no such file"]),
        (["--instance", "small.json"], ["small.json", "edgesim.instance/1"]),
        (["--profile", "gone"], ["gone", "clockwork-v100"]),
        (["--profile", "edf.json"], ["edf.json", "edgesim.profile/3"]),
        (["--out", "."], ["folder you are in"]),
        (["--out", "small.json"], ["is a file"]),
    ],
)
def test_every_bad_option_is_one_line(options: list[str], words: list[str]) -> None:
    """Where, what was found, what is allowed; exit code 2, no folder."""
    _files(architecture=None)
    _refused(_replay(*options), *words)


def test_the_instance_must_be_there() -> None:
    """Without --instance it is sought beside the schedule, and named."""
    _files(architecture=None)
    Path("instance.json").unlink()
    _refused(_replay(), "instance.json", "no such file")


def test_the_schedule_must_be_of_the_instance() -> None:
    """Another name is another instance."""
    _files(architecture=None)
    write_schedule(Path("edf.json"), _edited(instance="other"))
    _refused(_replay(), "edf.json: instance", "'tiny'", "'other'", "--instance")


def test_a_schedule_that_is_not_feasible_is_refused() -> None:
    """A load that the schedule leaves out, by the words of the judge."""
    _files(architecture=None)
    problem = cases.problem()
    rounds = list(cases.schedule(problem).rounds)
    rounds[1] = rounds[1].model_copy(
        update={"loaded_blocks": (), "loaded_bytes": 0, "load_s": 0.0}
    )
    write_schedule(Path("edf.json"), _edited(rounds=tuple(rounds)))
    _refused(_replay(), "edf.json", "not feasible", "net-v02/head", "are not there")


def test_sharing_is_not_assumed_of_a_baseline() -> None:
    """Without sharing, loads that count on shared blocks are not enough."""
    _files(architecture=None)
    write_schedule(Path("edf.json"), _edited(sharing=False))
    _refused(_replay(), "not feasible", "net/stem")


def test_overlap_is_refused_by_name() -> None:
    """Loads that run beside batches are not executed one after the other instead."""
    _files(architecture=None)
    write_instance(Path("instance.json"), cases.problem(overlap=True))
    _refused(_replay(), "instance.json: overlap", "must be false")


def test_blocks_larger_than_any_memory_are_refused() -> None:
    """Each size is allowed, and so is that of the models; a replay's sum is not."""
    problem = cases.problem()
    blocks = {
        name: block.model_copy(update={"bytes": 2**61 - 1})
        for name, block in problem.blocks.items()
    }
    _files(problem.model_copy(update={"blocks": blocks}))
    _refused(_replay("--factories", "skip"), "INSTANCE", "at most")


def test_the_command_names_no_folder_of_this_machine(tmp_path: Path) -> None:
    """Absolute paths are cut to their names; the options that count are there."""
    _files()
    done = edgesim(
        *("replay", tmp_path / "edf.json", "--profile", tmp_path / "small.json"),
        *("--device", "cpu", "--factories", "skip", "--repeats", "1"),
        *("--instance", tmp_path / "instance.json", "--back-to-back"),
        *("--out", tmp_path / "results" / "x"),
    )
    assert done.code == 0, done.err
    document = json.loads(Path("results/x/replay.json").read_text())
    assert document["command"] == (
        "edgesim replay edf.json --profile small.json --device cpu "
        "--instance instance.json --repeats 1 --factories skip --out x --back-to-back"
    )
    for path in Path("results/x").glob("*.[jmc]*"):
        assert str(tmp_path) not in path.read_text()


def test_code_that_a_profile_names_runs_only_when_told() -> None:
    """Neither called nor silently left out: the two answers are named."""
    _files(architecture="os:abort")
    done = _replay()
    _refused(done, "small.json", "os:abort", "--factories skip", "if you trust it: ")
    assert done.err.endswith(" --own-code\n")
    _refused(_replay("--own-code", "--factories", "skip"), "--factories", "exclude")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"architecture": "tests.small_networks:nothing"}, ["nothing"]),
        ({"architecture": "torchvision:no-such-model"}, ["torchvision"]),
        ({"input": "7x16x16"}, [cases.NETWORK, "7x16x16"]),
        ({"input": "words"}, ["input", "'words'"]),
        ({"input": "99999999999x99999999999"}, [cases.NETWORK, "overflow"]),
        ({"input": f"tokens:5:{10**30}"}, [cases.NETWORK, "Overflow"]),
    ],
)
def test_a_network_that_cannot_run_is_one_line(
    changes: dict[str, Any], words: list[str]
) -> None:
    """No such function, no such model, an input that it does not take."""
    _files(**changes)
    done = _replay("--factories", "call")
    assert (done.code, done.err.count("error: ")) == (2, 1)
    assert "Traceback" not in done.err
    for word in words:
        assert word in done.err
    assert not Path("results").exists()


def test_an_interrupted_replay_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the second pass: exit 130, no folder, no files of blocks."""
    _files()
    before = {path.name for path in Path.cwd().iterdir()}
    run_once = session.run_once
    passes: list[int] = []

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        passes.append(1)
        if len(passes) == 2:
            raise KeyboardInterrupt
        return run_once(*args, **kwargs)

    monkeypatch.setattr(session, "run_once", interrupted)
    done = _replay("--factories", "skip", "--load-from", "disk", "--out", "out")
    assert done.code == 130
    assert {path.name for path in Path.cwd().iterdir()} == before


class Terminal(io.StringIO):
    """Says that somebody looks on."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def test_the_bar_is_drawn_between_passes_and_by_no_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a terminal it goes from 1 to 2 passes when told; nothing draws on its own."""
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    threads = threading.active_count()
    with progress("replay", between_steps=True) as show:
        show(1, 2)
        half = terminal.getvalue()
        assert threading.active_count() == threads
        show(2, 2)
    assert "1/2" in half
    assert "2/2" not in half
    assert "2/2" in terminal.getvalue()


def test_inputs_are_not_replaced() -> None:
    """A folder that holds the schedule is not one to write results into."""
    _files(architecture=None)
    Path("in").mkdir()
    for name in ("edf.json", "instance.json"):
        Path(name).rename(Path("in") / name)
    done = edgesim(
        "replay", "in/edf.json", "--profile", "small.json", "--device", "cpu",
        "--out", "in",
    )  # fmt: skip
    _refused(done, "in")
    assert {path.name for path in Path("in").iterdir()} == {"edf.json", "instance.json"}
