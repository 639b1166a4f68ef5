"""The command line: read arguments, call one function, render what it returns.

`main` is the entry point.  Each command lives in a file of its name and is imported when it is asked for, so that
`timewait sockets` does not pay for `timewait rtest`.
"""

import sys

from timewait.errors import Exit, TimewaitError
from timewait.garbage import collect_rarely


def main() -> None:
    """Run the command of sys.argv and exit with its status.  No traceback reaches the user for what was foreseen."""
    arguments = sys.argv[1:]
    collect_rarely()
    try:
        status = _quick(arguments)
        if status is None:
            from timewait.cli.group import run

            status = run(arguments)
        sys.stdout.flush()
    except TimewaitError as error:
        status = complain(error)
    except KeyboardInterrupt:
        import signal

        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would break off what ends the other processes
        status = 130  # 128 + SIGINT, as shells have it
    except BrokenPipeError:
        import os

        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # `| head` has what it wanted
        status = Exit.OK
    sys.exit(status)


def _quick(arguments: list[str]) -> int | None:
    """Run `sockets` or `doctor` without click when every argument is plain: its import costs as much as both's work."""
    if arguments[:1] == ["sockets"]:
        from timewait.cli import sockets

        wanted = sockets.plain(arguments[1:])
        return None if wanted is None else sockets.show(wanted)
    if arguments[:1] == ["doctor"]:
        from timewait.cli import doctor

        asked = doctor.plain(arguments[1:])
        return None if asked is None else doctor.show(asked)
    return None


def complain(error: TimewaitError) -> int:
    """Print an error and its hint to stderr; return its exit status."""
    print(f"error: {error.what}", file=sys.stderr)
    if error.hint:
        print(f"hint:  {error.hint}", file=sys.stderr)
    return error.status
