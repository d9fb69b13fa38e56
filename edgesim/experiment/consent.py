"""Code of the user's own that a scenario names: it runs only if the user said so."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from edgesim.errors import short
from edgesim.plugins import ConsentError
from edgesim.scenario import Scenario


def check_consent(
    file: Path,
    scenario: Scenario,
    *,
    own_code: bool,
    from_files: bool = False,
    typed: Collection[str] = (),
) -> None:
    """Refuse user code that a file names, unless it is allowed.

    Parameters
    ----------
    file
        The file that names it, for messages.
    scenario
        The scenario to be run. It knows what its own file names.
    own_code
        Whether the user consents to all code that the file names.
    from_files
        Whether all else in the scenario is from files too, as in a figure.
    typed
        Names that the user typed: that is consent to them.

    Raises
    ------
    ConsentError
        Naming the first such code. None of it has been imported.
    """
    if own_code:
        return
    for name, key in scenario.code_named().items():
        if name in typed:
            continue
        if from_files or name in scenario.code_of_file:
            raise ConsentError(
                f"{file}: {key}",
                f"{short(name)} is code that is not part of edgesim, which runs only "
                f"with your consent",
            )
