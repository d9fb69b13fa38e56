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

Started = Callable[[str, int], None]
"""Called with the solver or policy that is at work, and the repeat."""


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
    made: list[Trial] | None = None,
    started: Started | None = None,
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
    made
        Filled with the trials of plans as they are made.
    started
        Called with the solver or policy that is at work, and the repeat: before each
        plan, and online whenever some requests have arrived.

    Raises
    ------
    InputError
        If a solver or policy refuses its input, or fails.
    BaseException
        Whatever else ends it early, an interrupt above all: after the plans that were
        made.
    """
    check_runs(inputs)
    scenario = inputs.scenario
    repeats = scenario.run.repeats
    if scenario.online is None:
        plans = repeats * len(scenario.run.solvers)
        trials: list[Trial] = [] if made is None else made
        ended: BaseException | None = None
        try:
            for repeat in range(repeats):
                for trial in plan_repeat(inputs, repeat, failed, started=started):
                    trials.append(trial)
                    if advance is not None:
                        advance(len(trials), plans)
            if advance is not None:
                advance(plans, plans)
        except EdgesimError:
            raise
        except BaseException as error:  # an interrupt: what is done is to be kept
            ended = error
        # A solver may fail in a later repeat than the first.
        yield from (trial for trial in trials if trial.name not in (failed or ()))
        if ended is not None:
            raise ended
        return
    for repeat in range(repeats):
        yield from serve_repeat(
            inputs, repeat, _within(inputs, repeat, advance, started)
        )


def _within(
    inputs: Inputs, repeat: int, advance: Progress | None, started: Started | None
) -> Callable[[str, int, int], None] | None:
    """Convert progress within one policy's run to that of the whole run."""
    if advance is None and started is None:
        return None
    policies = inputs.online.policies
    repeats = inputs.scenario.run.repeats

    def arrived(policy: str, done: int, requests: int) -> None:
        before = repeat * len(policies) + policies.index(policy)
        if started is not None:
            started(policy, repeat)
        if advance is not None:
            advance(before * requests + done, repeats * len(policies) * requests)

    return arrived
