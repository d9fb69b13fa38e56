"""Exceptions, all derived from one base so that one ``except`` catches them all."""

from __future__ import annotations


class EdgesimError(Exception):
    """Base class of every error that edgesim and its solvers raise deliberately."""


class ArgumentError(EdgesimError, ValueError):
    """An argument is not what a function takes; the message names it."""


class RefusalError(EdgesimError, ValueError):
    """A solver does not support a problem; says which condition fails and what to use.

    The message names the failed condition and the solvers to use instead.
    """


class VerificationError(EdgesimError, ValueError):
    """A schedule violates its problem's rules; the message lists every violation."""


class OwnSolverError(EdgesimError, ValueError):
    """A user-supplied solver broke a rule; the message names the round and the rule."""
