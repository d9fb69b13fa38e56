"""The log refuses a run in which a request has no outcome, or two."""

from __future__ import annotations

import pytest

from edgesim.engine.records import IN_TIME, Log

NAN = float("nan")


@pytest.mark.parametrize("numbers", [(0, 0), (0, 2), (1,)])
def test_a_request_has_one_outcome_only(numbers: tuple[int, ...]) -> None:
    """A mistake of the engine cannot pass unseen."""
    log = Log()
    for number in numbers:
        log.request((number, 0, 0, 0.0, 1.0, NAN, NAN, -1, 0.5, IN_TIME))
    with pytest.raises(AssertionError, match="no outcome, or two"):
        log.run([])
