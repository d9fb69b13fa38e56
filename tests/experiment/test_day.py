"""A real day's calls under every policy: nobody is lost or doubled."""

from __future__ import annotations

import json
from pathlib import Path

from edgesim.experiment.inputs import load_inputs
from edgesim.experiment.streams import serve_repeat
from edgesim.scenario.online import OnlineSpec
from tests.command import edgesim
from tests.experiment.served import SCENARIO
from tests.shared_data import require_shared

HOUR = SCENARIO.replace(
    'base = ["resnet18", "resnet50"]\nvariants = 4',
    'base = ["resnet50", "resnet101"]\nvariants = 50',
).replace("batches = 4\nwindow_s = [4.0, 6.0]", 'records = "none"')


def test_an_hour_of_azure_functions_under_every_policy(tmp_path: Path) -> None:
    """An hour of a real day, 100 models, every policy: nobody is lost or doubled."""
    source = require_shared("requests/azure_functions_2019_sample100_inv.csv")
    trace = tmp_path / "served.csv"
    finished = edgesim(
        *("trace", "convert", "azure-functions-2019", source, trace),
        *("--slo-s", 1, "--start-s", 36000, "--duration-s", 3600),
    )
    assert finished.code == 0, finished.err
    file = tmp_path / "hour.toml"
    policies = tuple(
        name + twin
        for name in ("fcfs", "edf", "clockwork", "greedy", "rolling")
        for twin in ("", "-noshare")
    )
    text = HOUR.replace('"served.csv"', '"served.csv"\nmodels = "random"')
    text = text.replace("bandwidth_hz = 20e6", "bandwidth_hz = 100e6")
    file.write_text(
        text.replace('["fcfs", "fcfs-noshare", "greedy"]', json.dumps(policies))
    )
    with trace.open() as lines:
        requests = sum(1 for _ in lines) - 1
    inputs = load_inputs(file)
    assert isinstance(inputs.online, OnlineSpec)
    names = []
    # serve_repeat checks that every request has one outcome: Log.run raises if not.
    for one in serve_repeat(inputs, 0):
        names.append(one.name)
        columns = one.account.run.requests
        assert len(columns.outcome) == requests
        batches = one.account.run.rounds.batch
        assert int(batches.sum()) == int((columns.round >= 0).sum()) > 0
    assert tuple(names) == policies
