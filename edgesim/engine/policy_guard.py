"""Guard calls into a user's policy and report what it raised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn, cast

from edgesim.engine.policy import Choice, Policy, PolicyError, View
from edgesim.engine.request import DONE, ActiveRequest
from edgesim.errors import InputError, short
from edgesim.plugins import FAILURES, pass_on_signal, told_where
from solvers import RefusalError

# Raised on purpose: these are complete messages.
_DELIBERATE = (InputError, PolicyError, RefusalError)

_CHECKED_FIRST_AT = 1024
"""Length of an answer at which it is looked at for repetition: it may be endless."""


class PolicyGuard:
    """Calls a policy's hooks for a server, and checks its answers.

    Any other exception of a policy becomes a ``PolicyError`` that names its location.
    SimPy rebuilds exceptions from their ``args`` as they propagate, which not all of
    them survive; the original stays at the end of the chain of causes.

    Parameters
    ----------
    policy, server
        The policy, and the server that it sees.

    Attributes
    ----------
    has_admit, has_ready
        Whether the policy overrides ``admit`` and ``ready``.
    """

    def __init__(self, policy: Policy, server: View) -> None:
        self._policy = policy
        self._server = server
        # Only shipped policies may return a plan's round; users' policies choose
        # requests.
        self._ours = type(policy).__module__.startswith("edgesim.")
        # Most policies leave these as they are; calling them anyway takes time.
        self.has_admit = type(policy).admit is not Policy.admit
        self.has_ready = type(policy).ready is not Policy.ready

    def start(self) -> None:
        """Let the policy inspect the server before the first request."""
        try:
            self._policy.start(self._server)
        except FAILURES as error:
            self._fail("start", error)

    def admit(self, request: ActiveRequest) -> str | None:
        """Return the policy's reason to reject an arriving request, if any."""
        try:
            reason = self._policy.admit(self._server, request)
        except FAILURES as error:
            self._fail("admit", error)
        if request.state == DONE:
            raise PolicyError(f"admit dropped {request!r}: return the reason instead")
        if reason is not None:
            check_reason(reason)
        return reason

    def ready(self, request: ActiveRequest) -> None:
        """Notify the policy that a request's input has arrived."""
        try:
            self._policy.ready(self._server, request)
        except FAILURES as error:
            self._fail("ready", error)

    def choose(self) -> tuple[int, list[ActiveRequest]] | None:
        """Return the model and the batch of the policy's next round; None to wait."""
        try:
            chosen = self._policy.choose(self._server)
            if chosen is None:
                return None
            if self._ours and isinstance(chosen, Choice):
                return chosen
            requests = _requests("choose", cast("Sequence[ActiveRequest]", chosen))
            return (requests[0].model, requests) if requests else None
        except FAILURES as error:
            self._fail("choose", error)

    def join(self, batch: Sequence[ActiveRequest], room: int) -> list[ActiveRequest]:
        """Return the requests that join a batch about to start."""
        try:
            return _requests("join", self._policy.join(self._server, batch, room))
        except FAILURES as error:
            self._fail("join", error)

    def _fail(self, hook: str, error: BaseException) -> NoReturn:
        """Report what a policy raised, and where in its code."""
        pass_on_signal(error)
        if isinstance(error, _DELIBERATE):
            raise error
        raise PolicyError(f"{hook} raised {told_where(error)}") from error


def check_reason(reason: object) -> None:
    """Reject a drop reason that cannot be recorded.

    Raises
    ------
    PolicyError
        If it is not a text, or empty.
    """
    if not isinstance(reason, str) or not reason:
        raise PolicyError(
            f"a reason to turn a request away must be a text, found {short(reason)}"
        )


def _requests(hook: str, answer: Sequence[ActiveRequest]) -> list[ActiveRequest]:
    if not hasattr(answer, "__iter__"):
        raise PolicyError(f"{hook} answered {short(answer)}, which is no sequence")
    requests = []
    checked_at = _CHECKED_FIRST_AT
    for request in answer:
        if type(request) is not ActiveRequest:
            raise PolicyError(f"{hook} answered {short(request)}, which is no request")
        requests.append(request)
        if len(requests) == checked_at:
            if len(set(map(id, requests))) < checked_at:
                raise PolicyError(f"{hook} answered a request twice")
            checked_at *= 2
    return requests
