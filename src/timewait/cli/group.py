"""The group of commands: what exists, loaded when asked for; usage errors in the project's own form."""

import importlib
from typing import Any

import click

from timewait import __version__
from timewait.errors import Exit, TimewaitError, UsageError

# name: (module, attribute, one line of help), in the order in which help lists them.
COMMANDS = {
    "rtest": ("timewait.cli.rtest", "rtest", "Connect to itself over one four-tuple, again and again, and say why."),
    "sockets": ("timewait.cli.sockets_command", "sockets", "List or count this host's TCP sockets, TIME-WAIT first."),
    "doctor": (
        "timewait.cli.doctor_command",
        "doctor",
        "Say whether this host is short of ports, towards whom, and what to do.",
    ),
    "explain": ("timewait.cli.explain", "explain", "Judge every known cause of an error on this host."),
    "script": (
        "timewait.cli.script",
        "script",
        "Run packet scripts (packetdrill's language) on the engine or the kernel.",
    ),
    "lab": ("timewait.cli.lab", "lab", "Put one scenario to the engine and the kernel, and compare what they show."),
    "claims": ("timewait.cli.claims", "claims", "Put what is said about TIME-WAIT on trial, on this machine."),
    "states": ("timewait.cli.states", "states", "Print the TCP state machine that the engine runs on."),
    "profiles": ("timewait.cli.profiles", "profiles", "Show what TCP stacks do their own way, side by side."),
    "plan": ("timewait.cli.plan", "plan", "Say what a design carries before it is built, and the ways out."),
    "completion": ("timewait.cli.completion", "completion", "Print the completion script of a shell."),
}

_EPILOG = """\b
Examples:
  timewait rtest 44400 s                     the server closes first
  timewait rtest 44400 c --timestamps off    the client, without timestamps
  timewait rtest --matrix                    36 combinations at once
  timewait rtest --matrix --world both       the kernel and our own TCP side by side
  timewait script tests/ --profile freebsd   packet scripts, in virtual time
  timewait profiles linux freebsd --diff     what two stacks do differently
  timewait lab compare                       many scenarios, cell by cell
  timewait claims 15                         what people say, on trial
  timewait sockets --group destination       who this host waits for
  timewait doctor                            whether that is trouble, and what to do
  timewait plan --rate 500/s                 what a design carries before it is built

\b
Exit status:
  0   the run ended as asked
  1   a connect failed (rtest), not as foretold (lab), a warning (doctor), the design does not carry
      it (plan)
  2   a critical finding (doctor)
  64  the command line cannot be meant
  69  this machine cannot do it; the reason is printed
"""


class _Lazy(click.Group):
    """Imports a command when it is used, and not to list it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            import difflib

            near = difflib.get_close_matches(name, COMMANDS, 1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise UsageError(f"there is no command {name!r}", f"{hint}commands: {', '.join(COMMANDS)}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Lazy,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=True,
)
@click.version_option(__version__, prog_name="timewait", message="%(prog)s %(version)s")
def cli() -> None:
    """Evidence about TCP's TIME-WAIT state, from this machine.

    Experiments run in private network namespaces that vanish with them; nothing is changed on the host.
    """


def run(arguments: list[str]) -> int:
    """Run the command line; return the exit status.  Raises `TimewaitError` for what the caller has to print."""
    try:
        status = cli.main(arguments, prog_name="timewait", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return Exit.USAGE
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "timewait"
        raise UsageError(error.format_message().rstrip("."), f"see {path} --help") from None
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.ClickException as error:
        raise TimewaitError(error.format_message()) from None
    return status if isinstance(status, int) else Exit.OK
