"""What decides which batch is next: the protocol of policies."""

# Hooks do nothing unless a policy says otherwise.
# ruff: noqa: ARG002, B027

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from solvers.errors import EdgesimError

if TYPE_CHECKING:
    from edgesim.online.request import Request
    from edgesim.online.server import Server


class PolicyError(EdgesimError):
    """A policy failed, or chose what cannot be run."""


class Policy(ABC):
    """Picks the next batch whenever the GPU can take one; only ``choose`` is needed.

    A policy sees the server and its requests, and changes neither: it answers.
    The uplink is not its business. An instance serves one run, so it may keep state.
    """

    def start(self, server: Server) -> None:
        """Look at the server before the first request comes."""

    def admit(self, server: Server, request: Request) -> str | None:
        """Say why a request that has just come is turned away; None to take it."""
        return None

    def ready(self, server: Server, request: Request) -> None:
        """Note that a request's input has arrived and it waits now."""

    @abstractmethod
    def choose(self, server: Server) -> Sequence[Request] | None:
        """Choose the batch of the next round, or wait.

        Called when the GPU is free, or when it can load ahead
        (``server.ahead``), and again whenever an input arrives or a round moves on
        while the answer was to wait, or at ``server.wake_at``.

        Returns
        -------
        sequence of Request or None
            Requests of one model, not yet chosen, as many as fit in a batch. Their
            model is loaded at once; the batch starts when all their inputs are there.
            None: nothing for now.
        """

    def join(
        self, server: Server, batch: Sequence[Request], room: int
    ) -> Sequence[Request]:
        """Choose who joins a batch that is about to start.

        Parameters
        ----------
        server
            The server.
        batch
            Requests of one model, loaded and with their inputs there; at least one.
        room
            How many more fit, at least one.

        Returns
        -------
        sequence of Request
            At most ``room`` waiting requests of the same model.
        """
        return ()
