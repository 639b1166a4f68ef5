"""`timewait plan preset`: the workloads that come with the program."""

import click


def _names(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    from timewait.plan.presets import NAMES

    return [name for name in NAMES if name.startswith(incomplete)]


@click.command(
    epilog="""\b
Examples:
  timewait plan preset                           what there is
  timewait plan preset proxy > mine.toml         to be edited
  timewait plan mine.toml
"""
)
@click.argument("name", required=False, shell_complete=_names)
def preset(name: str | None) -> None:
    """List the presets, or print one: a workload file with where its numbers are from."""
    from timewait.plan import presets

    if name is not None:
        print(presets.text(name), end="")
        return
    for each, meaning in presets.NAMES.items():
        print(f"{each:<16}{meaning}")
