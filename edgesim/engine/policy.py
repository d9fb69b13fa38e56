"""What decides which batch is next: policies, and the view of the server they get."""

# Hooks do nothing unless a policy says otherwise.
# ruff: noqa: ARG002, B027

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple, Protocol

from edgesim.engine.request import ActiveRequest
from solvers.core.tables import Tables
from solvers.errors import EdgesimError


class PolicyError(EdgesimError):
    """A policy failed, or chose what cannot be run."""


class View(Protocol):
    """What a policy may look at, and the two things it may ask for.

    Models are numbers, in the order of ``model_names``. Nothing here may be changed but
    by :meth:`drop` and :meth:`wake_at`.
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
        """How many requests of each model may be in a batch.

        As many as fit in GPU memory, every smaller batch fitting too, since a batch may
        lose requests before it starts. 0 if not even one fits.
        """

    @property
    def least_s(self) -> Sequence[float]:
        """Shortest compute time of any such batch, by model; infinite without one."""

    @property
    def waiting(self) -> Sequence[Sequence[ActiveRequest]]:
        """Requests of each model whose input is there and that are not chosen.

        By deadline, ties by arrival.
        """

    @property
    def now_s(self) -> float:
        """Time since the start of the run."""

    @property
    def tables(self) -> Tables:
        """The library and the GPU as the solvers see them; there are no users."""

    @property
    def waiting_count(self) -> int:
        """How many requests wait, their input there."""

    @property
    def uploading_count(self) -> int:
        """How many requests are on their way and not chosen."""

    @property
    def model(self) -> int | None:
        """Model of the round that is in hand or was last; None before the first."""

    @property
    def computing(self) -> bool:
        """Whether a batch is being computed."""

    @property
    def free_s(self) -> float:
        """When the batch being computed, or the last one, ends by nominal times.

        A forecast: what a batch really takes is known when it has ended.
        """

    @property
    def ahead(self) -> bool:
        """Whether what is chosen would be loaded with another round still in hand.

        Only with overlap.
        """

    def load_s(self) -> list[float]:
        """Nominal time that loading each model would take now, by model number."""

    def resident_atoms(self) -> frozenset[int]:
        """Atoms (``tables.atom_blocks``) in GPU memory now, or on their way into it."""

    def fits_beside(self, model: int) -> bool:
        """Whether a model can be loaded while the round in hand is there."""

    def next_upload(self) -> ActiveRequest | None:
        """Return the request not yet chosen whose input comes next, if it is that."""

    def uploads(self) -> list[tuple[float, ActiveRequest]]:
        """List requests on their way and not chosen, with when they will be there.

        That is if nothing else came, the earliest first. O(n log n).
        """

    def drop(self, request: ActiveRequest, reason: str) -> None:
        """Give up a request that is on its way or waits; its spectrum is freed.

        Parameters
        ----------
        request
            One that was taken in and not chosen yet.
        reason
            Why, as it is written into the records.

        Raises
        ------
        PolicyError
            When it has been chosen or has its outcome already, or the reason is no
            text.
        """

    def wake_at(self, time_s: float) -> None:
        """Ask the policy again at a time, if it waits then.

        A policy that has itself asked again and again, and never chooses, keeps the run
        going for ever if late requests are served.

        Parameters
        ----------
        time_s
            When, in seconds of the run, not before now.

        Raises
        ------
        PolicyError
            When it is before now, or not finite.
        """


class Choice(NamedTuple):
    """A round of a plan: its model, and the requests of its batch.

    All requests of a round may be gone; it loads its model and computes nothing. Only
    edgesim's own policies may answer so.
    """

    model: int
    requests: list[ActiveRequest]


class Policy(ABC):
    """Picks the next batch whenever the GPU can take one; only ``choose`` is needed.

    A policy sees the server (:class:`View`) and its requests, and changes neither: it
    answers.
    The uplink is not its business. An instance serves one run, so it may keep state.
    """

    asked_when_empty: ClassVar[bool] = False
    """Whether it is asked for rounds even if no request is there, as a plan is."""

    def start(self, server: View) -> None:
        """Look at the server before the first request comes."""

    def admit(self, server: View, request: ActiveRequest) -> str | None:
        """Say why a request that has just come is turned away; None to take it."""
        return None

    def ready(self, server: View, request: ActiveRequest) -> None:
        """Note that a request's input has arrived and it waits now."""

    @abstractmethod
    def choose(self, server: View) -> Sequence[ActiveRequest] | Choice | None:
        """Choose the batch of the next round, or wait.

        Called when the GPU is free, or when it can load ahead
        (``server.ahead``), and again whenever an input arrives or a round moves on
        while the answer was to wait, or at ``server.wake_at``.

        Returns
        -------
        sequence of ActiveRequest or None
            Requests of one model, not yet chosen, as many as fit in a batch. Their
            model is loaded at once; the batch starts when all their inputs are there.
            None: nothing for now.
        """

    def join(
        self, server: View, batch: Sequence[ActiveRequest], room: int
    ) -> Sequence[ActiveRequest]:
        """Choose who joins a batch that is about to start.

        Parameters
        ----------
        server
            What there is to look at.
        batch
            Requests of one model, loaded and with their inputs there; at least one.
        room
            How many more fit, at least one.

        Returns
        -------
        sequence of ActiveRequest
            At most ``room`` waiting requests of the same model.
        """
        return ()
