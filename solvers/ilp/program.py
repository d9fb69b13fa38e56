"""What the integer programs have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import pulp

from solvers.core.tables import PlannedRound, Tables
from solvers.ilp.engine import Clock
from solvers.uplink import Uplink


@dataclass
class Program(ABC):
    """An integer program that maximises the users served.

    PuLP minimises the negative.

    Parameters
    ----------
    tables, uplink
        The problem and its discipline.
    wanted, bound
        Minimum and maximum number of users to serve.
    clock
        Time limit for building the program.

    Raises
    ------
    OutOfTimeError
        If the clock runs out before the program is built.
    """

    tables: Tables
    uplink: Uplink
    wanted: int
    bound: int
    clock: Clock
    problem: Any = field(init=False)

    def __post_init__(self) -> None:
        self.problem = pulp.LpProblem(type(self).__name__, pulp.LpMinimize)
        self._build()

    @abstractmethod
    def _build(self) -> None:
        """Add the variables and rows."""

    def _new(self, name: str, most: float | None = 1, cat: str = "Continuous") -> Any:
        """Add a variable from 0 to ``most``."""
        return self.problem.add_variable(name, 0, most, cat)

    def _maximise(self, served: Any) -> None:
        """Ask for as many served as may be, between those wanted and the bound."""
        self.problem += -served
        self.problem += served >= self.wanted
        self.problem += served <= self.bound


class ExactProgram(Program):
    """A program whose answers are schedules, but for tolerances of the engine."""

    @abstractmethod
    def rounds(self) -> list[PlannedRound]:
        """Extract the rounds of the last answer."""

    @abstractmethod
    def reject(self, rounds: list[PlannedRound]) -> None:
        """Cut off the last answer, whose rounds turned out to be infeasible."""
