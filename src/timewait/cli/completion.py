"""`timewait completion`: the script that teaches a shell to complete."""

import click
from click.shell_completion import get_completion_class

from timewait.errors import Exit


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> int:
    """Print the completion script of SHELL.

    \b
    bash:  eval "$(timewait completion bash)"        in ~/.bashrc
    zsh:   eval "$(timewait completion zsh)"         in ~/.zshrc
    fish:  timewait completion fish | source         in config.fish
    """
    from timewait.cli.group import cli

    kind = get_completion_class(shell)
    assert kind is not None, shell
    click.echo(kind(cli, {}, "timewait", "_TIMEWAIT_COMPLETE").source())
    return Exit.OK
