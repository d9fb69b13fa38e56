"""The simulated columns of docs/live.md follow from the profile that was measured."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgesim.experiment.inputs import Inputs, load_inputs
from edgesim.experiment.streams import serve_repeat
from edgesim.live.comparison import served
from edgesim.shipped import data_file
from tests.command import edgesim

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "live.md").read_text(encoding="utf-8")
HEADING = "## What a campaign on a GPU found\n"
GPU = PAGE.partition(HEADING)[2].partition("\n## ")[0]
DURATION_S = 8.0


def _campaign() -> dict[str, str]:
    found: dict[str, str] = tomllib.loads(
        data_file("profiles", "gpu.toml").read_text(encoding="utf-8")
    )["words"]
    return found


def _rows() -> list[list[str]]:
    lines = [line for line in GPU.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def _stated(key: str) -> dict[str, float]:
    """Read what the page says of a key: a number, or one a policy."""
    if key == "gpu.dispatch_s":
        (text,) = re.findall(r"`gpu\.dispatch_s = ([0-9e.-]+)`", GPU)
        return {"": float(text)}
    found = re.findall(r"([0-9]+e-6) \(`([a-z]+)`\)", GPU)
    return {policy: float(text) for text, policy in found}


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generate the requests as the campaign does."""
    jobs = tomllib.loads(data_file("profiles", "gpu.toml").read_text(encoding="utf-8"))
    (command,) = [j["command"] for j in jobs["jobs"] if j["name"] == "live-trace"]
    path = tmp_path_factory.mktemp("live") / "trace.csv"
    words = command.replace("{out}/live/trace.csv", str(path)).split()[1:]
    done = edgesim(*words)
    assert done.code == 0, done.err
    return path


def _inputs(trace: Path, residency: str, late: str, policy: str) -> Inputs:
    words = _campaign()
    (rate,) = re.findall(r"rate_scale=([0-9.]+)", words[f"{residency}-{late}"])
    (memory,) = re.findall(r"--memory ([0-9]+)GB", words["live"])
    assert f"--duration-s {DURATION_S:g}" in words["live"]
    keys: dict[str, Any] = {
        "gpu.residency": residency,
        "gpu.memory_bytes": int(memory) * 10**9,
        "online.late": late,
        "online.policies": (policy,),
        "workload.rate_scale": float(rate),
        "workload.window_s": DURATION_S,
        "run.repeats": 1,
    }
    return load_inputs(
        Path(str(data_file("traces", "live.toml"))),
        trace=trace,
        profile="h200-live",
        overrides=keys,
    )


def _share(inputs: Inputs, dispatch_s: float | None, decision_s: float | None) -> float:
    scenario = inputs.scenario
    assert scenario.online is not None
    gpu = scenario.gpu.model_copy(update={"dispatch_s": dispatch_s})
    online = scenario.online.model_copy(update={"decision_s": decision_s})
    changed = scenario.model_copy(update={"gpu": gpu, "online": online})
    (trial,) = serve_repeat(replace(inputs, scenario=changed), 0)
    run = trial.account.run
    found = served(run, online.warmup_s, len(run.requests.outcome)).on_time
    assert found is not None
    return 100 * found


@pytest.mark.parametrize("row", _rows(), ids=lambda row: "-".join(row[:3]))
def test_the_page_tells_what_was_simulated(trace: Path, row: list[str]) -> None:
    """Without and with dispatch and deciding; and the errors are those of the row."""
    policy, residency, late, simulated, *others = row
    one, two, error, counted, second = (
        float(text.replace("−", "-")) for text in others[:5]
    )
    inputs = _inputs(trace, residency, late, policy)
    assert _share(inputs, None, None) == pytest.approx(float(simulated), abs=0.006)
    dispatch_s = _stated("gpu.dispatch_s")[""]
    decision_s = _stated("online.decision_s")[policy]
    found = _share(inputs, dispatch_s, decision_s)
    assert found == pytest.approx(counted, abs=0.006)
    assert error == pytest.approx((one + two) / 2 - float(simulated), abs=0.011)
    assert second == pytest.approx(two - counted, abs=0.011)


def test_the_page_tells_the_means_of_its_table() -> None:
    """Mean and largest distance, without and with; and between two live runs."""
    rows = _rows()
    assert len(rows) == 12
    numbers = [[float(cell.replace("−", "-")) for cell in row[3:]] for row in rows]
    plain = [abs(row[3]) for row in numbers]
    counted = [abs(row[5]) for row in numbers]
    between = [abs(row[1] - row[2]) for row in numbers]
    means = [sum(of) / len(of) for of in (plain, counted, between)]
    text = " ".join(GPU.split())
    assert (
        f"the mean distance falls from {means[0]:.1f} ({max(plain):.1f} at most) to "
        f"{means[1]:.1f} points ({max(counted):.1f}), where two live runs of the same "
        f"requests differ by {means[2]:.1f} ({max(between):.1f})"
    ) in text
