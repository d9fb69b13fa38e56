"""The outcome of one solver or policy in one repeat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from edgesim.measures.account import Account
from edgesim.measures.measure import Measures, measure
from solvers import Result


@dataclass(frozen=True, eq=False)
class Trial:
    """The outcome of one solver or policy in one repeat.

    Parameters
    ----------
    repeat, name
        The repeat, from 0, and the solver or policy.
    account
        The run, with the tables it was simulated with.
    users
        The trace's user behind each user number of the run.
    runtime_s
        Wall-clock time of the solver, or of the simulation online.
    duration_s
        Duration for which requests arrive.
    result
        The plan, if a solver made one.
    """

    repeat: int
    name: str
    account: Account
    users: Sequence[str]
    runtime_s: float
    duration_s: float
    result: Result | None = None

    @cached_property
    def measures(self) -> Measures:
        """The measures of the whole run."""
        return measure(self.account)

    @property
    def ids(self) -> list[str] | None:
        """Ids of a plan's requests; online requests have numbers."""
        if self.result is None:
            return None
        return [user.id for user in self.account.tables.problem.users]
