"""Errors that reach the user: what was wrong, with which value, and a way on.

Split by who can act.  A misbehaving peer is an event or an observation, never one of these.
"""


class Exit:
    """Exit statuses of the command, the same for every subcommand (docs/reference/exit-status.md)."""

    OK: int = 0  # the run ended as asked
    FAILED: int = 1  # the experiment ran, and a connect failed
    WARNING: int = 1  # doctor: the worst finding is a warning
    CRITICAL: int = 2  # doctor: a finding is critical
    UNKNOWN: int = 3  # doctor --check: nothing could be told, as monitoring systems have it
    USAGE: int = 64  # the command line cannot be meant as it stands: EX_USAGE of sysexits.h
    UNAVAILABLE: int = 69  # this machine cannot do it, or may not: EX_UNAVAILABLE of sysexits.h


class TimewaitError(Exception):
    """Base of all errors meant for the user.  `what` is the first line, `hint` the way on (may be empty)."""

    status: int = Exit.UNAVAILABLE

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


class UsageError(TimewaitError):
    """The caller asked for something that cannot be meant."""

    status = Exit.USAGE


class UnavailableError(TimewaitError):
    """The machine cannot do it, or this user may not."""
