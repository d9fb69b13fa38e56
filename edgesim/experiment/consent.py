"""Code of the user's own that a scenario names: it runs only if somebody said so."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from edgesim.errors import short
from edgesim.plugins import ConsentError, is_own
from edgesim.scenario import Scenario


def code_named(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """List the solvers and policies of the user's own, each after its key."""
    yield from (("run.solvers", name) for name in scenario.run.solvers if is_own(name))
    if scenario.online is not None:
        for name in filter(is_own, scenario.online.policies):
            yield "online.policies", name
        solver = scenario.online.options("rolling").get("solver")
        if isinstance(solver, str) and is_own(solver):
            yield "online.rolling.solver", solver


def check_consent(
    file: Path, scenario: Scenario, *, own_code: bool, given: Collection[str] = ()
) -> None:
    """Refuse own code that a file names, unless that is allowed.

    Parameters
    ----------
    file
        Where it is named, for messages.
    scenario
        What is to be run.
    own_code
        Whether the user consents to whatever the file names.
    given
        Key paths whose values the user gave by hand: who names code consents to it.

    Raises
    ------
    ConsentError
        Naming the first such code. None of it has been imported.
    """
    if own_code:
        return
    for key, name in code_named(scenario):
        if not any(key == one or key.startswith(f"{one}.") for one in given):
            raise ConsentError(
                f"{file}: {key}",
                f"{short(name)} is code that is not part of edgesim, which runs only "
                f"with your consent",
            )
