"""Policies, which choose the next batch, and the view of the server they get."""

# Hooks do nothing unless a policy overrides them.
# ruff: noqa: ARG002, B027

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple, Protocol

from edgesim.engine.request import ActiveRequest
from solvers.core.tables import Tables
from solvers.errors import EdgesimError


class PolicyError(EdgesimError):
    """A policy failed, or made a choice that cannot be run."""


class View(Protocol):
    """The state that a policy may inspect, and the two actions it may request.

    Models are numbers, in the order of ``model_names``. Nothing here may be changed
    except through :meth:`drop` and :meth:`wake_at`.
    """

    @property
    def model_names(self) -> Sequence[str]:
        """Names of the library's models, by number."""

    @property
    def batch_s(self) -> Sequence[Sequence[float]]:
        """Nominal compute time by model and batch, ``batch_s[m][b]``, b from 0.

        Infinite where a batch does not fit in GPU memory.
        """

    @property
    def most(self) -> Sequence[int]:
        """Batch limit of each model.

        The largest batch that fits in GPU memory along with every smaller one, since a
        batch may lose requests before it starts. 0 if not even one request fits.
        """

    @property
    def least_s(self) -> Sequence[float]:
        """Shortest compute time of such a batch, by model; infinite without one."""

    @property
    def waiting(self) -> Sequence[Sequence[ActiveRequest]]:
        """Requests of each model whose input has arrived and that are not chosen.

        By deadline, ties by arrival.
        """

    @property
    def now_s(self) -> float:
        """Time since the start of the run."""

    @property
    def tables(self) -> Tables:
        """The library and the GPU as the solvers see them; without users."""

    @property
    def waiting_count(self) -> int:
        """Number of waiting requests, those whose input has arrived."""

    @property
    def uploading_count(self) -> int:
        """Number of requests that are uploading and not chosen."""

    @property
    def model(self) -> int | None:
        """Model of the round in flight or the last one; None before the first."""

    @property
    def computing(self) -> bool:
        """Whether a batch is being computed."""

    @property
    def free_s(self) -> float:
        """When the current batch, or the last one, ends by nominal times.

        A forecast: the actual duration of a batch is known only when it has ended.
        """

    @property
    def ahead(self) -> bool:
        """Whether the chosen round would be loaded while another is still in flight.

        Only with overlap.
        """

    def load_s(self) -> list[float]:
        """Nominal load time of each model at present, by model number."""

    def resident_atoms(self) -> frozenset[int]:
        """Atoms (``tables.atom_blocks``) in GPU memory now, or being loaded into it."""

    def fits_beside(self, model: int) -> bool:
        """Whether a model can be loaded while the round in flight is in memory."""

    def next_upload(self) -> ActiveRequest | None:
        """Return the request whose input arrives next, if it is not chosen yet."""

    def uploads(self) -> list[tuple[float, ActiveRequest]]:
        """List requests that are uploading and not chosen, with their forecast arrival.

        The forecast assumes that nothing else is sent; earliest first. O(n log n).
        """

    def drop(self, request: ActiveRequest, reason: str) -> None:
        """Drop a request that is uploading or waiting; its spectrum is freed.

        Parameters
        ----------
        request
            A request that was admitted and is not yet chosen.
        reason
            The reason, as it is written into the records.

        Raises
        ------
        PolicyError
            If it has been chosen or already has its outcome, or the reason is not a
            text.
        """

    def wake_at(self, time_s: float) -> None:
        """Consult the policy again at a given time, if it waits then.

        A policy that keeps waking itself and never chooses keeps the run going forever
        if late requests are served.

        Parameters
        ----------
        time_s
            The time in seconds of the run, not before now.

        Raises
        ------
        PolicyError
            If the time is before now, or not finite.
        """


class Choice(NamedTuple):
    """A round of a plan: its model, and the requests of its batch.

    All requests of a round may have been dropped; it loads its model and computes
    nothing. Only edgesim's own policies may return it.
    """

    model: int
    requests: list[ActiveRequest]


class Policy(ABC):
    """Chooses the next batch whenever the GPU can take one; only ``choose`` is needed.

    A policy sees the server (:class:`View`) and its requests, and modifies neither: it
    only returns its choices. It does not control the uplink. An instance serves one
    run, so it may keep state.
    """

    asked_when_empty: ClassVar[bool] = False
    """Whether the policy is consulted even if no request is present, as a plan is."""

    def start(self, server: View) -> None:
        """Inspect the server before the first request arrives."""

    def admit(self, server: View, request: ActiveRequest) -> str | None:
        """Return the reason to reject a request on arrival; None to admit it."""
        return None

    def ready(self, server: View, request: ActiveRequest) -> None:
        """React to a request whose input has arrived and that now waits."""

    @abstractmethod
    def choose(self, server: View) -> Sequence[ActiveRequest] | Choice | None:
        """Choose the batch of the next round, or wait.

        Called when the GPU is free, or when it can load ahead (``server.ahead``). After
        an answer to wait, called again whenever an input arrives or a round progresses,
        or at ``server.wake_at``.

        Returns
        -------
        sequence of ActiveRequest or None
            Requests of one model, not yet chosen, at most as many as fit in a batch.
            Their model is loaded at once; the batch starts when all their inputs have
            arrived. None to wait.
        """

    def join(
        self, server: View, batch: Sequence[ActiveRequest], room: int
    ) -> Sequence[ActiveRequest]:
        """Choose the requests that join a batch about to start.

        Parameters
        ----------
        server
            The state that the policy may inspect.
        batch
            Requests of one model that is loaded, with their inputs present; at least
            one.
        room
            Number of further requests that fit, at least one.

        Returns
        -------
        sequence of ActiveRequest
            At most ``room`` waiting requests of the same model.
        """
        return ()
