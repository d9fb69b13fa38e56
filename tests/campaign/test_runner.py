"""Campaigns that run: order, kept results, limits, crashes, and what remains."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.campaign.cases import job, measure, write, write_own
from tests.command import Finished, edgesim

SCHEMA = "edgesim schema instance"
WRONG = "edgesim run --nonsense"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with the module ``own``."""
    monkeypatch.chdir(tmp_path)
    write_own(tmp_path)
    return tmp_path


def campaign(file: Path, *options: object, out: str = "out") -> Finished:
    """Run a campaign on the CPU."""
    return edgesim(
        *("profile", "campaign", file, "--device", "cpu", "--out", out, *options)
    )


def kept(out: str = "out") -> dict[str, Any]:
    """Read how jobs ended."""
    state = json.loads(Path(out, "campaign.json").read_text())
    assert state["schema"] == "edgesim.campaign-state/1"
    return state["jobs"]


def said(finished: Finished) -> list[tuple[str, str]]:
    """Split the lines of the jobs into name and text, without times."""
    lines = [line for line in finished.out.splitlines() if line[:1].isdigit()]
    found = [line.split("  ", 1)[1].split(": ", 1) for line in lines if "  " in line]
    return [(name, text) for name, text in found]


# Tests that run in the background of a shell have Ctrl-C ignored, and so have what they
# start; a campaign in a terminal has not.
_IN_A_TERMINAL = """\
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from edgesim.cli import main
main()
"""


def start(file: Path, *options: str) -> subprocess.Popen[str]:
    """Start a campaign as a process of its own."""
    return subprocess.Popen(
        [
            *(sys.executable, "-c", _IN_A_TERMINAL, "profile", "campaign", str(file)),
            *("--device", "cpu", "--out", "out", "--own-code", *options),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(file: str, seconds: float = 20) -> list[int]:
    """Wait for a note of the job, and return the processes that it names."""
    until = time.monotonic() + seconds
    while not Path(file).exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    return [int(word) for word in Path(file).read_text().split()]


def gone(process: int, seconds: float = 15) -> bool:
    """Whether a process ends within some seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return True
        if state[0] == "Z":
            return True
        time.sleep(0.05)
    return False


def test_jobs_run_in_order_and_are_kept(tmp_path: Path) -> None:
    """Results are kept as they end; run again, what is done is not run again."""
    trace = "edgesim trace generate --rate 5 --duration-s 2 --slo-s 1"
    file = write(
        tmp_path / "c.toml",
        job("schema", SCHEMA),
        job("trace", f"{trace} --out {{out}}/t/a.csv"),
        job("later", WRONG, after=["schema"]),
    )
    finished = campaign(file, out="out put")
    texts = said(finished)
    assert [name for name, _ in texts][:4] == ["schema", "schema", "trace", "trace"]
    assert texts[0][1] == "begins, about 1 s expected"
    assert texts[1][1].startswith("done after")
    first = kept("out put")
    assert list(first) == ["schema", "trace", "later"]
    assert first["schema"]["command"] == SCHEMA
    assert first["schema"]["exit_code"] == 0
    assert Path("out put/t/a.csv").is_file()
    log = (tmp_path / "out put/logs/schema.txt").read_text()
    assert log.startswith(f"$ {SCHEMA}\n{{")
    again = campaign(file, out="out put")
    assert ("schema", "done before") in said(again)
    assert ("trace", "done before") in said(again)
    assert kept("out put")["schema"] == first["schema"]


def test_all_done_is_exit_code_0(tmp_path: Path) -> None:
    """A campaign whose jobs are done ends with 0, with a table of all."""
    file = write(tmp_path / "c.toml", job("a", SCHEMA), job("b", SCHEMA, after=["a"]))
    finished = campaign(file)
    assert finished.code == 0
    *_, head, one, two = finished.out.splitlines()
    assert head.split() == ["job", "state", "seconds", "expected"]
    assert one.split()[:2] == ["a", "done"]
    assert two.split()[:2] == ["b", "done"]
    assert "a    done before" in campaign(file).out


def test_changed_command_runs_again(tmp_path: Path) -> None:
    """A job is done by one command line; with another it is run again."""
    campaign(write(tmp_path / "c.toml", job("a", SCHEMA)))
    finished = campaign(write(tmp_path / "c.toml", job("a", "edgesim schema figure")))
    assert finished.code == 0
    assert kept()["a"]["command"] == "edgesim schema figure"


@pytest.mark.torch
def test_failures_say_why_and_stop_nothing(tmp_path: Path) -> None:
    """After an error, a crash and a kill the next jobs run, dependents wait."""
    file = write(
        tmp_path / "c.toml",
        job("wrong", WRONG),
        job("dies", measure("dies")),
        job("killed", measure("killed")),
        job("raises", measure("raises")),
        job("waits", SCHEMA, after=["dies"]),
        job("fine", SCHEMA),
    )
    finished = campaign(file, "--own-code")
    assert finished.code == 1
    texts = dict(said(finished))
    assert "exit code 2: error: No such option: --nonsense" in texts["wrong"]
    assert "(logs/wrong.txt)" in texts["wrong"]
    assert "its process ended with exit code 7" in texts["dies"]
    assert "its process was killed by SIGKILL" in texts["killed"]
    assert "exit code 1: BaseException: the device is gone" in texts["raises"]
    assert texts["waits"] == "waits for dies"
    assert texts["fine"].startswith("done after")
    assert "5 of 6 jobs not done; the same command continues" in finished.out
    records = kept()
    assert records.keys() == {"wrong", "dies", "killed", "raises", "fine"}
    codes = {name: record["exit_code"] for name, record in records.items()}
    assert codes == {"wrong": 2, "dies": 7, "killed": 137, "raises": 1, "fine": 0}
    assert "Traceback" in Path("out/logs/raises.txt").read_text()


@pytest.mark.torch
def test_jobs_share_a_process_but_not_its_state(tmp_path: Path) -> None:
    """What a job does to its process does not reach the next, in the same process."""
    file = write(
        tmp_path / "c.toml",
        job("one", measure("tells")),
        job("spoils", measure("spoils")),
        job("two", measure("tells")),
    )
    texts = dict(said(campaign(file, "--own-code")))
    one, two = (texts[name].partition("pid=")[2] for name in ("one", "two"))
    assert one.partition("(logs")[0] == two.partition("(logs")[0]
    assert f"cwd={tmp_path} spoilt=None nowhere=False stdin=''" in two


@pytest.mark.torch
def test_limit_stops_a_job_and_leaves_others_out(tmp_path: Path) -> None:
    """At the limit the job is stopped; what does not fit is not begun, what does is."""
    file = write(
        tmp_path / "c.toml",
        job("long", SCHEMA, 100),
        job("short", SCHEMA, 1),
        job("sleeps", measure("sleeps"), 1),
        job("last", SCHEMA, 1),
    )
    start_s = time.monotonic()
    finished = campaign(file, "--own-code", "--time-limit", 10)
    assert time.monotonic() - start_s < 50  # the job sleeps for a minute
    assert finished.code == 1
    texts = dict(said(finished))
    assert texts["long"] == "left out: needs about 100 s, 10 s left"
    assert texts["short"].startswith("done")
    assert texts["sleeps"].startswith("stopped at the time limit after")
    assert texts["last"] == "left out: needs about 1 s, 0 s left"
    assert kept()["sleeps"]["state"] == "stopped"
    assert kept()["sleeps"]["exit_code"] == 143
    assert all(gone(process) for process in wait_for("sleeps"))


@pytest.mark.torch
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (15, 143)])
def test_interrupted_campaign_is_kept(tmp_path: Path, number: int, code: int) -> None:
    """Ctrl-C and SIGTERM stop the job, keep the state, and leave no process."""
    file = write(tmp_path / "c.toml", job("a", SCHEMA), job("b", measure("sleeps")))
    with start(file) as parent:
        processes = wait_for("sleeps")
        parent.send_signal(number)
        out, _ = parent.communicate(timeout=20)
    assert parent.returncode == code, out
    assert all(gone(process) for process in processes)
    assert kept()["a"]["state"] == "done"
    assert kept()["b"]["state"] == "stopped"
    assert kept()["b"]["message"] == "interrupted"
    assert "Traceback" not in out
    assert "1 of 2 jobs not done; the same command continues" in out


@pytest.mark.torch
def test_killed_parent_leaves_no_process_and_goes_on(tmp_path: Path) -> None:
    """When the parent is killed its worker ends too; what was done stays done."""
    file = write(tmp_path / "c.toml", job("a", SCHEMA), job("b", measure("sleeps")))
    with start(file) as parent:
        processes = wait_for("sleeps")
        assert "is in use by a campaign" in campaign(file, "--own-code").err
        parent.kill()
    assert all(gone(process) for process in processes)
    assert kept().keys() == {"a"}
    (tmp_path / "own.py").write_text("def sleeps():\n    raise ValueError('awake')\n")
    finished = campaign(file, "--own-code")
    assert said(finished)[0] == ("a", "done before")
    assert "awake" in kept()["b"]["message"]


@pytest.mark.torch
def test_stubborn_job_is_killed_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that does not hear SIGTERM is killed, and what it started with it."""
    monkeypatch.setattr("edgesim.campaign.process.GRACE_S", 0.5)
    file = write(tmp_path / "c.toml", job("a", measure("stubborn"), 1))
    finished = campaign(file, "--own-code", "--time-limit", 6)
    assert kept()["a"]["state"] == "stopped"
    assert kept()["a"]["exit_code"] == 137
    assert finished.code == 1
    processes = wait_for("sleeps")
    assert len(processes) == 2
    assert all(gone(process) for process in processes)


def test_own_code_needs_consent(tmp_path: Path) -> None:
    """Without --own-code nothing runs; the line names the job and the word."""
    file = write(tmp_path / "c.toml", job("a", SCHEMA), job("b", measure("tells")))
    finished = campaign(file)
    assert finished.code == 2
    assert finished.err.startswith("error: job b: 'own:tells' runs code")
    assert finished.err.endswith("--out out --own-code\n")
    assert not Path("out").exists()


def test_dry_run_runs_nothing(tmp_path: Path) -> None:
    """--dry-run prints the command lines and the sum of expected seconds."""
    file = write(
        tmp_path / "c.toml",
        job("a", SCHEMA, 2.5),
        job("b", "edgesim solve {out}/x.json", 4, after=["a"]),
    )
    finished = campaign(file, "--dry-run", out="my out")
    assert finished.code == 0
    assert finished.out.splitlines() == [
        "a (about 2.5 s)",
        f"  {SCHEMA}",
        "b (about 4 s, after a)",
        "  edgesim solve 'my out/x.json'",
        "2 jobs, about 6.5 s",
    ]
    assert not Path("my out").exists()


def test_folders_of_something_else_are_refused(tmp_path: Path) -> None:
    """A folder with other things, another campaign or another device is refused."""
    file = write(tmp_path / "c.toml", job("a", SCHEMA))
    Path("full").mkdir()
    Path("full/thesis.tex").touch()
    finished = campaign(file, out="full")
    assert finished.code == 2
    assert "holds 'thesis.tex' and no campaign.json" in finished.err
    assert campaign(file).code == 0
    other = write(tmp_path / "d.toml", job("a", SCHEMA), name="other")
    assert "campaign.json: campaign: is 'tried', and 'other'" in campaign(other).err
    assert "campaign.json: device: is 'cpu'" in campaign(file, "--device", "cuda").err


@pytest.mark.parametrize("limit", ["0", "-1", "nan"])
def test_bad_limit(tmp_path: Path, limit: str) -> None:
    """A limit must be a number of seconds above 0."""
    file = write(tmp_path / "c.toml", job("a", SCHEMA))
    assert "--time-limit: must be" in campaign(file, "--time-limit", limit).err


@pytest.mark.torch
def test_parent_imports_no_torch(tmp_path: Path) -> None:
    """The parent never imports torch, which would start with it."""
    file = write(tmp_path / "c.toml", job("a", measure("tells")))
    code = (
        "import sys, edgesim.cli as cli\n"
        "try: cli.main()\n"
        "except SystemExit: print('torch' in sys.modules)"
    )
    finished = subprocess.run(
        [
            *(sys.executable, "-c", code, "profile", "campaign", str(file)),
            *("--own-code", "--device", "cpu", "--out", "out"),
        ],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )
    assert finished.stdout.endswith("False\n")
    assert "ValueError" in kept()["a"]["message"]
