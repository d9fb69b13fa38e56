"""What can go wrong: one base, so that one ``except`` takes all of it."""

from __future__ import annotations


class EdgesimError(Exception):
    """Base of every error that edgesim and its solvers raise on purpose."""


class RefusalError(EdgesimError, ValueError):
    """A solver cannot take a problem: which condition fails and what to use instead."""


class VerificationError(EdgesimError, ValueError):
    """A schedule breaks rules of its problem; the message names all of them."""


class OwnSolverError(EdgesimError, ValueError):
    """A solver of one's own broke a rule; the message names its round and the rule."""
