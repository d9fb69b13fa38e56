"""Times a live run's engine by the wall clock, on a device that only sleeps.

``python -m tests.benchmarks.live_clock`` serves 200 requests a second at load 1 for a
minute, nominal times slept on the device's thread, and prints what policies take to
choose, relative to the device's busy time, and how late the engine is.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from edgesim.engine.clock import ClockEnvironment, Stopwatch
from edgesim.engine.server import Parts, serve_by_clock
from edgesim.engine.worker import WallClock, Worker
from edgesim.experiment.inputs import Inputs, load_inputs
from edgesim.experiment.streams import serve_repeat, service_of, stream_of
from edgesim.shipped import data_file
from tests.command import edgesim
from tests.engine.nominal import SleepingDevice

RATE = 200.0


def main() -> None:
    """Print a line for each policy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policies", default="fcfs,clockwork,greedy,rolling")
    parser.add_argument("--duration-s", type=float, default=60.0)
    parser.add_argument("--memory-gb", type=float, default=2.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.csv"
        done = edgesim(
            *("trace", "generate", "--rate", RATE, "--duration-s", given.duration_s),
            *("--slo-s", 0.2, "--models", 24, "--users", 200, "--seed", 1),
            *("--input-bytes", 20_000, "--out", trace),
        )
        assert done.code == 0, done.err
        for name in given.policies.split(","):
            inputs = load_inputs(
                Path(str(data_file("traces", "live.toml"))),
                trace=trace,
                overrides={
                    "online.policies": [name],
                    "run.repeats": 1,
                    "workload.rate_scale": 1.0,
                    "workload.window_s": given.duration_s,
                    "gpu.memory_bytes": int(given.memory_gb * 1e9),
                },
            )
            print(f"{name}: {_line(inputs, name)}", flush=True)


def _line(inputs: Inputs, name: str) -> str:
    simulated = next(serve_repeat(inputs, 0)).account.run
    stream, _ = stream_of(inputs, 0)
    tables, policy, settings = service_of(inputs, name, stream)
    arrivals = list(stream)
    clock = WallClock()
    env = ClockEnvironment(clock)
    watch = Stopwatch(env)
    with Worker(clock) as worker:
        device = SleepingDevice(env, worker)
        parts = Parts(device=lambda _: device, stopwatch=watch)
        live = serve_by_clock(env, tables, arrivals, policy, settings, parts)
    busy_s = float(live.rounds.load_s.sum() + live.rounds.compute_s.sum())
    late_s = np.asarray(env.lateness_s)
    shares = [float((run.requests.outcome == 0).mean()) for run in (live, simulated)]
    nominal_s = float(simulated.rounds.load_s.sum() + simulated.rounds.compute_s.sum())
    return (
        f"{len(arrivals)} requests, GPU busy {nominal_s / env.wall_s:.0%}, "
        f"choosing {sum(watch.choose_s) / busy_s:.2%} of busy time "
        f"(median {np.median(watch.choose_s) * 1e3:.3f} ms), lateness p99 "
        f"{np.percentile(late_s, 99) * 1e3:.2f} ms, in time {shares[0]:.2%} live, "
        f"{shares[1]:.2%} simulated"
    )


if __name__ == "__main__":
    main()
