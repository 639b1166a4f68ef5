"""Errors that reach the user: what was wrong, with which value, and a way on.

Split by who can act.  A misbehaving peer is an event or an observation, never one of these.
"""

from enum import IntEnum


class Exit(IntEnum):
    """Exit statuses of the command, the same for every subcommand (docs/reference/exit-status.md)."""

    OK = 0
    """The run ended as asked."""
    FAILED = 1
    """The experiment ran, and a connect failed."""
    USAGE = 64
    """The command line cannot be meant as it stands (EX_USAGE of sysexits.h)."""
    UNAVAILABLE = 69
    """This machine cannot do it, or may not; the reason is printed (EX_UNAVAILABLE of sysexits.h)."""


class TimewaitError(Exception):
    """Base of all errors meant for the user.  `what` is the first line, `hint` the way on (may be empty)."""

    status = Exit.UNAVAILABLE

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


class UsageError(TimewaitError):
    """The caller asked for something that cannot be meant."""

    status = Exit.USAGE


class UnavailableError(TimewaitError):
    """The machine cannot do it, or this user may not."""

    status = Exit.UNAVAILABLE
