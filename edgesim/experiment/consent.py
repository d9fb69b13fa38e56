"""User code named by a scenario: it runs only with the user's consent."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from edgesim.errors import short
from edgesim.plugins import ConsentError, is_own
from edgesim.scenario import Scenario


def code_named(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """Yield the user's own solvers and policies, each with its key path first."""
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
    """Refuse user code that a file names, unless it is allowed.

    Parameters
    ----------
    file
        The file that names it, for messages.
    scenario
        The scenario to be run.
    own_code
        Whether the user consents to all code that the file names.
    given
        Key paths whose values the user gave explicitly: naming code is consenting to
        it.

    Raises
    ------
    ConsentError
        Naming the first such code. None of it has been imported.
    """
    if own_code:
        return
    for key, name in code_named(scenario):
        if not any(key == path or key.startswith(f"{path}.") for path in given):
            raise ConsentError(
                f"{file}: {key}",
                f"{short(name)} is code that is not part of edgesim, which runs only "
                f"with your consent",
            )
