"""The textbook integer program, handed to HiGHS as it is, as a peer.

One slot a round, as many slots as rounds can fit. No start, no bound, no cuts and no
removal of symmetry, but for empty slots last: what HiGHS does with it alone.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

import highspy
import numpy as np
import pulp

from solvers import Problem
from solvers.core.tables import PlannedRound, Tables
from solvers.uplink import Uplink
from tests.benchmarks.peer import PeerResult, most_rounds, repaired, served, tables_for

TANGENTS = tuple(np.geomspace(0.02, 1.0, 12).tolist())
"""Where tangents to w/s touch at first, as shares of the latest deadline."""


def solve_plain_highs(
    problem: Problem,
    uplink: Uplink,
    *,
    time_limit_s: float,
    sharing: bool = True,
    workers: int = 1,
    seed: int = 0,
) -> PeerResult:
    """Find the most users that can be served with HiGHS.

    Parameters
    ----------
    problem, uplink
        What is to be scheduled; residency ``"previous"``, no overlap.
    time_limit_s
        Wall-clock limit of the search; building the program comes on top.
    sharing
        If false, every change of model loads the whole model.
    workers, seed
        Threads and random seed of HiGHS.

    Returns
    -------
    PeerResult
        Rounds that ``time_rounds`` accepts. Where the time limit left only rounds that
        it does not, users are taken out until it does.

    Raises
    ------
    RefusalError
        For residency ``"cache"``, overlap, or releases under ``upfront`` or ``static``.

    Notes
    -----
    O(K · slots) binaries; NP-hard. An answer that does not verify is cut off: by
    tangents at its own starts (``static``), else, or if it comes again, by itself.
    """
    started_s = time.perf_counter()
    tables = tables_for(
        "highs-plain", problem, uplink, sharing=sharing, time_limit_s=time_limit_s
    )
    slots = most_rounds(tables) if len(tables.users) else 0
    best: list[PlannedRound] = []
    bound = len(tables.users) if slots else 0
    if bound:
        program = _Slots(tables, uplink, slots)
        stop_s = time.monotonic() + time_limit_s
        while (left_s := stop_s - time.monotonic()) > 0 and served(best) < bound:
            engine = pulp.HiGHS(
                msg=False,
                gapRel=0,
                timeLimit=left_s,
                threads=workers,
                random_seed=seed,
            )
            highspy.Highs.resetGlobalScheduler(True)  # other tests use other threads
            program.problem.solve(engine)
            # The objective is minimised, as minus the users served.
            info = program.problem.solverModel.getInfo()
            if math.isfinite(info.mip_dual_bound):
                bound = min(bound, math.floor(-info.mip_dual_bound + 1e-6))
            feasible = highspy.SolutionStatus.kSolutionStatusFeasible
            if info.primal_solution_status != feasible:
                break
            rounds = program.rounds()
            kept = repaired(tables, rounds, uplink)
            best = max(best, kept, key=served)
            if kept == rounds:
                break
            program.reject(rounds)
    bound = max(bound, served(best))
    runtime_s = time.perf_counter() - started_s
    return PeerResult(
        served(best), bound, served(best) == bound, runtime_s, tuple(best)
    )


@dataclass
class _Slots:
    """Binary ``x[k, r]``: user k is in round r; ``batch[m, b, r]``: of exactly b."""

    tables: Tables
    uplink: Uplink
    slots: int
    problem: Any = field(init=False)
    _x: dict[tuple[int, int], Any] = field(init=False)
    _start: list[Any] = field(init=False)
    _band: dict[tuple[int, int], Any] = field(init=False, default_factory=dict)
    _seen: set[tuple[PlannedRound, ...]] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        t = self.tables
        self.problem = pulp.LpProblem("textbook", pulp.LpMinimize)
        self._latest_s = float(t.deadline_s[t.users].max())
        self._users = t.users.tolist()
        slots = range(self.slots)
        self._x = {
            (k, r): self._binary(f"x_{k}_{r}") for k in self._users for r in slots
        }
        self._start = [
            self.problem.add_variable(f"start_{r}", 0, self._latest_s) for r in slots
        ]
        self.problem += -pulp.lpSum(self._x.values())
        for k in self._users:
            self.problem += pulp.lpSum(self._x[k, r] for r in slots) <= 1
        before: dict[int, Any] = {
            m: float(m == t.resident) for m in range(len(t.model_names))
        }
        free: Any = pulp.lpSum(
            float(t.demand_s[k]) * v for (k, _), v in self._x.items()
        ) * (self.uplink == "upfront")
        for r in slots:
            used, compute = self._batch(r)
            if r:
                self.problem += pulp.lpSum(used.values()) <= pulp.lpSum(before.values())
            self.problem += pulp.lpSum(used.values()) <= 1
            self.problem += self._start[r] >= free + self._load(r, used, before)
            free = self._start[r] + compute
            for k in self._users:
                late_s = self._latest_s - float(t.deadline_s[k])
                self.problem += free <= self._latest_s - late_s * self._x[k, r]
            before = used
        if self.uplink == "dynamic":
            self._uploads()
        if self.uplink == "static":
            for key in self._x:
                self._band[key] = self.problem.add_variable(
                    f"band_{key[0]}_{key[1]}", 0
                )
            self.problem += pulp.lpSum(self._band.values()) <= 1
            for share in TANGENTS:
                for r in slots:
                    self._tangents(r, share * self._latest_s)

    def _binary(self, name: str) -> Any:
        return self.problem.add_variable(name, cat="Binary")

    def _batch(self, r: int) -> tuple[dict[int, Any], Any]:
        """Tie users to one batch; return which model runs, and the compute time."""
        t = self.tables
        used, compute = {}, []
        for m in t.active:
            users = t.users_of[m].tolist()
            most = min(len(t.latency_s[m]) - 1, len(users))
            batch = {
                b: self._binary(f"batch_{m}_{b}_{r}")
                for b in range(1, most + 1)
                if np.isfinite(t.latency_s[m][b])
            }
            used[m] = pulp.lpSum(batch.values())
            here = pulp.lpSum(self._x[k, r] for k in users)
            self.problem += here == pulp.lpSum(b * v for b, v in batch.items())
            compute += [float(t.latency_s[m][b]) * v for b, v in batch.items()]
        return used, pulp.lpSum(compute)

    def _load(self, r: int, used: dict[int, Any], before: dict[int, Any]) -> Any:
        """Load what the slot before does not hold."""
        t = self.tables
        loads = []
        for atom, load_s in enumerate(t.atom_load_s.tolist()):
            here = pulp.lpSum(v for m, v in used.items() if atom in t.atoms_of[m])
            there = pulp.lpSum(v for m, v in before.items() if atom in t.atoms_of[m])
            load = self.problem.add_variable(f"load_{atom}_{r}", 0, 1)
            self.problem += load >= here - there
            loads.append(load_s * load)
        return pulp.lpSum(loads)

    def _uploads(self) -> None:
        """Start no batch before its release and all uploads since then have ended."""
        t = self.tables
        for release_s in sorted(set(t.release_s[self._users].tolist())):
            later = [k for k in self._users if t.release_s[k] >= release_s]
            arrived = [k for k in later if t.release_s[k] == release_s]
            sent: Any = 0.0
            inside: dict[int, Any] = dict.fromkeys(arrived, 0.0)
            for r, start in enumerate(self._start):
                sent += pulp.lpSum(float(t.demand_s[k]) * self._x[k, r] for k in later)
                for k in arrived:
                    inside[k] += self._x[k, r]
                    self.problem += start >= release_s * inside[k] + sent

    def _tangents(self, r: int, touch_s: float) -> None:
        """Bound the band w/s of each user in a slot by its tangent at a start."""
        for k in self._users:
            self.problem += self._band[k, r] >= float(self.tables.demand_s[k]) * (
                2 / touch_s * self._x[k, r] - self._start[r] / touch_s**2
            )

    def rounds(self) -> list[PlannedRound]:
        """Read the rounds of the last answer."""
        result = []
        for r in range(self.slots):
            users = tuple(k for k in self._users if self._x[k, r].value() > 0.5)
            if users:
                model = int(self.tables.user_model[users[0]])
                result.append(PlannedRound(model, users))
        return result

    def reject(self, rounds: list[PlannedRound]) -> None:
        """Cut off an answer that a tangent or an engine's tolerance let through."""
        again = tuple(rounds) in self._seen
        self._seen.add(tuple(rounds))
        if self.uplink == "static" and not again:
            for r in range(len(rounds)):
                touch_s = self._start[r].value()
                if touch_s > 1e-6 * self._latest_s:
                    self._tangents(r, touch_s)
            return
        self.problem += (
            pulp.lpSum(1 - v if v.value() > 0.5 else v for v in self._x.values()) >= 1
        )
