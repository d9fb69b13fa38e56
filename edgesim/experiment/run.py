"""Run a scenario: every repeat under every solver or policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from edgesim.experiment.inputs import Inputs
from edgesim.experiment.plans import check_plans, plan_repeat
from edgesim.experiment.streams import serve_repeat
from edgesim.experiment.trial import Trial
from solvers import EdgesimError

Progress = Callable[[int, int], None]
"""Called with the work done, and the total work."""


def run_repeat(
    inputs: Inputs, repeat: int, names: Sequence[str] | None = None
) -> Iterator[Trial]:
    """Run one repeat under solvers or policies: the given ones, or the scenario's."""
    if inputs.scenario.online is None:
        yield from plan_repeat(inputs, repeat, names=names)
    else:
        yield from serve_repeat(inputs, repeat, names=names)


def check_runs(inputs: Inputs) -> None:
    """Refuse before any run what a solver of the scenario would refuse in one.

    Policies are made, and refused, when inputs are read.

    Raises
    ------
    InputError
        Naming the solver, what it does not take, and what to use instead.
    """
    if inputs.scenario.online is None:
        check_plans(inputs)


def run_all(
    inputs: Inputs,
    advance: Progress | None = None,
    failed: dict[str, EdgesimError] | None = None,
) -> Iterator[Trial]:
    """Run every repeat and yield its trials: online as they end, plans after the last.

    Parameters
    ----------
    inputs
        The inputs of the run.
    advance
        Called with the number of plans made, or requests arrived, and the total.
    failed
        Filled with the solvers that fail, and the reason: none of their trials is
        yielded. If None, a failure ends the run.

    Raises
    ------
    InputError
        If a solver or policy refuses its input, or fails.
    """
    check_runs(inputs)
    scenario = inputs.scenario
    repeats = scenario.run.repeats
    if scenario.online is None:
        plans = repeats * len(scenario.run.solvers)
        trials: list[Trial] = []
        for repeat in range(repeats):
            for trial in plan_repeat(inputs, repeat, failed):
                trials.append(trial)
                if advance is not None:
                    advance(len(trials), plans)
        if advance is not None:
            advance(plans, plans)
        # A solver may fail in a later repeat than the first.
        yield from (trial for trial in trials if trial.name not in (failed or ()))
        return
    for repeat in range(repeats):
        yield from serve_repeat(inputs, repeat, _within(inputs, repeat, advance))


def _within(
    inputs: Inputs, repeat: int, advance: Progress | None
) -> Callable[[str, int, int], None] | None:
    """Convert progress within one policy's run to that of the whole run."""
    if advance is None:
        return None
    policies = inputs.online.policies
    repeats = inputs.scenario.run.repeats

    def arrived(policy: str, done: int, requests: int) -> None:
        before = repeat * len(policies) + policies.index(policy)
        advance(before * requests + done, repeats * len(policies) * requests)

    return arrived
