"""`timewait sockets` as click knows it: help, completion, and arguments that are not plain."""

from pathlib import Path

import click
from click.shell_completion import CompletionItem

from timewait.cli.sockets import GROUPS, ROLES, Asked, show
from timewait.system.sock_diag import STATES

_EPILOG = """\b
Examples:
  timewait sockets                             every TIME-WAIT, with role, age and time left
  timewait sockets --group destination         how many towards whom; cheap on a very full host
  timewait sockets --role client --to 192.0.2.7:5432
  timewait sockets --state FIN-WAIT-2,CLOSE-WAIT
  timewait sockets --netns 4711                the namespace of process 4711
  timewait sockets --from host.json            what `timewait doctor --save` saw

\b
Exit status: 0 done, 64 usage, 69 this machine cannot.
"""


class _State(click.ParamType[str]):
    """State names as the RFC prints them; checked by `show`, completed here."""

    name = "state"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        names = [name for name in (*STATES, "all") if name]
        return [CompletionItem(name) for name in names if name.startswith(incomplete.upper())]


@click.command(epilog=_EPILOG)
@click.option("--state", type=_State(), default="", help="States, separated by commas, or all.  [default: TIME-WAIT]")
@click.option("--role", type=click.Choice(ROLES), help="server: the local port is listening here; else client.")
@click.option("--to", metavar="ADDR[:PORT]", default="", help="Only sockets with this peer.")
@click.option("--group", type=click.Choice(GROUPS), help="Count instead of list.")
@click.option("--netns", metavar="NAME|PID", default="", help="Look into this network namespace.")
@click.option(
    *("--from", "--snapshot", "source"),
    type=click.Path(dir_okay=False, path_type=Path),
    help="Count what doctor saved in FILE instead.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def sockets(
    state: str, role: str | None, to: str, group: str | None, netns: str, source: Path | None, as_json: bool
) -> int:
    """List or count this host's TCP sockets, TIME-WAIT unless told otherwise.  Reads only.

    A socket's destination is the end that was connected to: the peer for a client, the local end for a server.
    A saved file holds counts, not single sockets: --from groups by destination unless told otherwise, and --to then
    finds clients alone.  FIN-WAIT-2 with a time left is an orphan that the kernel keeps as a TIME-WAIT record.
    """
    return show(Asked(state, role or "", to, group or "", netns, as_json, source))
