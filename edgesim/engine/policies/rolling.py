"""Rolling: plan the waiting requests with a solver, run the first rounds, replan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from heapq import heapify, heappop, heapreplace

from edgesim.engine.policies.helpers import (
    Refused,
    drop_unmeetable,
    first_in_time,
    join_in_time,
    load_ahead,
    may_begin,
    outlook,
)
from edgesim.engine.policies.planning import PlanningLibrary, Wanted
from edgesim.engine.policy import Policy, PolicyError, View
from edgesim.engine.request import CHOSEN, ActiveRequest
from edgesim.errors import InputError
from solvers import SOLVERS, OwnSolver, OwnSolverError, RefusalError, Uplink, solve
from solvers.exhaustive.solver import MOST_USERS
from solvers.own_solver import name_of
from solvers.spelling import did_you_mean
from solvers.tolerance import TIME_TOLERANCE_S

ONE_DEADLINE = ("dp",)
"""Solvers that require a common deadline and no releases."""

EXTENDED = ("greedy", "local-search", "branch")
"""Solvers that support a cache and overlap."""

PLANNERS = tuple(name for name in SOLVERS if not name.endswith("-noshare"))
"""Solvers to plan with; sharing is determined by the policy's name."""


class Rolling(Policy):
    """Plan the queue with a solver, repeatedly.

    Whenever a round is to be chosen, the waiting requests of earliest deadlines form a
    problem whose inputs have all arrived; a solver plans it, and the first rounds of
    its plan are run. No plan is made while a simple tour suffices, which always visits
    the model with the least load per request and serves all of its requests at once: if
    the tour serves every request considered in time, its first round is run. A batch
    that is about to start is joined by requests that it still serves in time and that
    no plan has considered.

    Requests that cannot be met by nominal times are dropped when the GPU is free; if
    late ones are served, they are served by deadline once no request can be in time.
    Ahead of a batch in flight, plans start at its end, as if their loads could not run
    earlier.

    Parameters
    ----------
    solver
        Any of ``solvers.SOLVERS`` without ``-noshare``, or a function as accepted by
        :func:`solvers.solve`; any exception that it raises, and any rule that it
        breaks, ends the run. ``dp`` requires a common deadline: the earliest of those
        considered, and as long as it serves no request by then, that request is left
        out. Solvers that support neither a cache nor overlap plan without them:
        resident blocks cost nothing to load.
    horizon_s
        Uploads that will end within this time are planned too, each released when the
        uplink's rule would end it if nothing else were sent.
    most
        Maximum number of requests considered, those of the earliest deadlines.
    follow
        Number of rounds of a plan to run before replanning; replanning happens earlier
        if the remaining requests of the next round could not be in time.
    iterations, seed
        Options of ``local-search``; the seed applies to ``random`` too.
    time_limit_s
        Wall-clock limit per plan; results then depend on the machine.

    Raises
    ------
    ValueError
        If options are invalid or incompatible.
    """

    def __init__(
        self,
        solver: str | OwnSolver = "greedy",
        horizon_s: float = 0.0,
        most: int = 64,
        follow: int = 8,
        iterations: int | None = None,
        time_limit_s: float | None = None,
        seed: int = 0,
    ) -> None:
        if solver not in PLANNERS and not callable(solver):
            raise ValueError(
                f"solver must be one of {', '.join(PLANNERS)}, or of your own "
                f"(package.module:function), found {solver!r}"
                f"{did_you_mean(solver, PLANNERS)} "
                f"(sharing is switched off by the policy's name, rolling-noshare)"
            )
        _check_number("horizon_s", horizon_s, least=0)
        if time_limit_s is not None:
            _check_number("time_limit_s", time_limit_s, least=1e-6)
        _check_whole("most", most, 1)
        _check_whole("follow", follow, 1)
        _check_whole("seed", seed, 0)
        if iterations is not None:
            _check_whole("iterations", iterations, 1)
        if solver in ONE_DEADLINE and horizon_s > 0:
            raise ValueError(
                f"horizon_s must be 0 with the solver {solver!r}, which takes no "
                f"releases, found {horizon_s!r}; use another solver"
            )
        if solver == "exhaustive" and most > MOST_USERS:
            raise ValueError(
                f"most must be at most {MOST_USERS} with the solver 'exhaustive', "
                f"found {most}"
            )
        self._solver = solver
        self._horizon_s = horizon_s
        self._most = most
        self._follow = follow
        self._iterations = iterations
        self._time_limit_s = time_limit_s
        self._seed = seed
        self._plan: list[list[ActiveRequest]] = []
        self._considered_numbers: frozenset[int] = frozenset()
        self._refused = Refused()

    def start(self, server: View) -> None:
        """Convert the library to the form used for planning."""
        self._library = PlanningLibrary(server.tables, server.most)

    def ready(self, server: View, request: ActiveRequest) -> None:
        """React to the first waiting request; planning for each would cost too much."""
        del request
        if server.waiting_count == 1:
            self._refused.forget()

    def choose(self, server: View) -> Sequence[ActiveRequest] | None:
        """Choose the next round of the current plan, or of a new one."""
        if self._refused.holds(server) and (server.waiting_count or self._horizon_s):
            return None
        start_s, loads_s = outlook(server)
        batch = self._planned(server, start_s, loads_s)
        if batch is None:
            self._plan = []
            batch = self._new_round(server, start_s, loads_s)
        if batch is None:
            self._refused.note(server)
            return None
        if not may_begin(server, batch[0].model):
            self._plan.insert(0, batch)
            self._refused.note(server)
            return None
        return batch

    def join(
        self, server: View, batch: Sequence[ActiveRequest], room: int
    ) -> Sequence[ActiveRequest]:
        """Let requests join that are served in time and that no plan has considered."""
        model = batch[0].model
        queue = server.waiting[model]
        # Of a long queue, only the part in which those who join can be.
        ends_s = server.batch_s[model][len(batch) + 1 : len(batch) + room + 1]
        first = first_in_time(queue, server.now_s + min(ends_s))
        last = first_in_time(queue, server.now_s + max(ends_s))
        part = queue[first : last + room + len(self._considered_numbers)]
        return join_in_time(
            server,
            batch,
            [r for r in part if r.number not in self._considered_numbers],
        )

    def _planned(
        self, server: View, start_s: float, loads_s: Sequence[float]
    ) -> list[ActiveRequest] | None:
        """Take the next round of the current plan, if it is still feasible."""
        while self._plan:
            batch = [r for r in self._plan.pop(0) if r.state < CHOSEN]
            if batch:
                model = batch[0].model
                compute_s = server.batch_s[model][len(batch)]
                end_s = start_s + loads_s[model] + compute_s
                deadline_s = min(request.deadline_s for request in batch)
                return batch if end_s <= deadline_s + TIME_TOLERANCE_S else None
        return None

    def _new_round(
        self, server: View, start_s: float, loads_s: Sequence[float]
    ) -> list[ActiveRequest] | None:
        """Choose the next round without a plan, making one if needed."""
        if not server.ahead:
            for model, queue in enumerate(server.waiting):
                if queue:
                    drop_unmeetable(server, model, start_s + loads_s[model])
        expected = self._expected_uploads(server)
        if not server.waiting_count and not expected:
            return load_ahead(server)
        wanted = self._considered(server, start_s, loads_s, expected)
        self._considered_numbers = frozenset(w.request.number for w in wanted)
        if not wanted:
            return None if server.ahead else self._first_late(server)
        if not expected:
            batch = self._tour(server, wanted, start_s)
            if batch is not None:
                return batch
        rounds = self._solved(server, start_s, wanted)
        if not rounds:
            if server.ahead or not server.waiting_count:
                return None
            return self._first_late(server)
        self._plan = rounds[1 : self._follow]
        return rounds[0]

    def _expected_uploads(self, server: View) -> list[tuple[float, ActiveRequest]]:
        """List the uploads that end within the horizon, with their end times."""
        if not self._horizon_s:
            return []
        until_s = server.now_s + self._horizon_s
        return [(end_s, r) for end_s, r in server.uploads() if end_s <= until_s]

    def _considered(
        self,
        server: View,
        start_s: float,
        loads_s: Sequence[float],
        expected: Sequence[tuple[float, ActiveRequest]],
    ) -> list[Wanted]:
        """List the requests of earliest deadlines that could be in time, by deadline.

        O((models + most) log models), and the uploads within the horizon.
        """
        heads: list[tuple[ActiveRequest, int, int]] = []
        for model, queue in enumerate(server.waiting):
            if queue:
                begin_s = start_s + loads_s[model]
                first = first_in_time(queue, begin_s + server.least_s[model])
                if first < len(queue):
                    heads.append((queue[first], model, first))
        heapify(heads)
        wanted: list[Wanted] = []
        while heads and len(wanted) < self._most:
            request, model, index = heads[0]
            wanted.append(Wanted(request, 0.0))
            queue = server.waiting[model]
            if index + 1 < len(queue):
                heapreplace(heads, (queue[index + 1], model, index + 1))
            else:
                heappop(heads)
        for end_s, request in expected:
            least_s = server.least_s[request.model]
            after_s = max(0.0, end_s - start_s)
            if start_s + after_s + least_s <= request.deadline_s:
                wanted.append(Wanted(request, after_s))
        if expected:
            wanted.sort(key=lambda w: (w.request.deadline_s, w.request.number))
        return wanted[: self._most]

    def _tour(
        self, server: View, wanted: Sequence[Wanted], start_s: float
    ) -> list[ActiveRequest] | None:
        """Return the first batch of a nearest-model tour that serves all in time.

        O(models²) loads of requested models; None if any request would be late.
        """
        remaining: dict[int, list[ActiveRequest]] = {}
        for request, _ in wanted:
            remaining.setdefault(request.model, []).append(request)
        memory = self._library.memory(server)
        now_s = start_s
        batch: list[ActiveRequest] | None = None
        while remaining:
            loads_s = {model: memory.load_s(model) for model in remaining}
            model = min(remaining, key=lambda m: (loads_s[m] / len(remaining[m]), m))
            requests = remaining[model]
            size = min(len(requests), server.most[model])
            if len(requests) > size:
                remaining[model] = requests[size:]
            else:
                del remaining[model]
            now_s += loads_s[model] + server.batch_s[model][size]
            if now_s > requests[0].deadline_s + TIME_TOLERANCE_S:
                return None
            memory.enter(model, size)
            batch = requests[:size] if batch is None else batch
        return batch

    def _first_late(self, server: View) -> list[ActiveRequest] | None:
        """Choose the batch of the earliest deadline, in time or not."""
        heads = [queue[0] for queue in server.waiting if queue]
        if not heads:
            return None
        model = min(heads).model
        return list(server.waiting[model][: server.most[model]])

    def _solved(
        self, server: View, start_s: float, wanted: Sequence[Wanted]
    ) -> list[list[ActiveRequest]]:
        """Plan with the solver; return the requests of each round."""
        solver = self._solver
        one_deadline = solver in ONE_DEADLINE
        # Inputs that have arrived take no spectrum, so all disciplines agree on them:
        # the dynamic program is exact for the simplest.
        uplink: Uplink = "upfront" if one_deadline else "dynamic"
        while wanted:
            by_s = wanted[0].request.deadline_s if one_deadline else None
            problem = self._library.problem(
                server,
                wanted,
                start_s,
                by_s,
                extended=callable(solver) or solver in EXTENDED,
            )
            try:
                result = solve(
                    problem,
                    solver,
                    uplink=uplink,
                    time_limit_s=self._time_limit_s,
                    seed=self._seed,
                    iterations=self._iterations,
                    quick=True,
                )
            except (OwnSolverError, RefusalError) as error:
                if isinstance(solver, str):
                    where = "online.rolling: solver"
                    raise InputError(where, str(error)) from None
                name = name_of(solver)
                what = str(error).removeprefix(f"{name}: ")
                raise PolicyError(f"{name}: {what}") from error
            if result.served or not one_deadline:
                request_by_id = {str(w.request.number): w.request for w in wanted}
                return [
                    [request_by_id[user] for user in planned.users]
                    for planned in result.schedule.rounds
                ]
            wanted = wanted[1:]
        return []


def _check_number(name: str, value: object, least: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{name} must be a number, found {value!r}")
    if not (math.isfinite(value) and value >= least):
        raise ValueError(f"{name} must be finite and >= {least:g}, found {value!r}")


def _check_whole(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be a whole number >= {least}, found {value!r}")
