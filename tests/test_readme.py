"""The README, the guide and the concepts show what the commands print: each block is run again and compared."""

import os
import re
import shlex
from pathlib import Path

import pytest

from needs import require_namespaces
from timewait.cli.group import run

README = Path(__file__).parent.parent / "README.md"
PAGES = (README, *sorted(README.parent.glob("docs/[cg]*/*.md")))
BLOCKS = [
    block
    for page in PAGES
    for block in re.findall(r"^```console\n\$ timewait (.*)\n((?:.*\n)*?)```$", page.read_text(), re.MULTILINE)
]
# A kernel's minute is a minute.
SLOW = ("claims 1",)


def comparable(text: str) -> list[str]:
    """Leave out what no two runs share: the kernel's name, times, and where lines were broken."""
    text = re.sub(r"Linux \d\S*", "Linux KERNEL", text)
    text = re.sub(r"\b\d+(\.\d+)? (s|ms|us|ns)\b", "TIME", text)
    text = re.sub(r"since a\s+moment\s+before|for\s+TIME", "MOMENT", text)
    return [" ".join(part.split()) for part in re.split(r"\n\n", text)]


@pytest.mark.parametrize(("arguments", "output"), BLOCKS)
def test_a_command_prints_what_stands_below_it(
    arguments: str, output: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    require_namespaces()
    if arguments in SLOW and os.environ.get("TIMEWAIT_SLOW") != "1":
        pytest.skip("over a minute of a kernel's waiting: TIMEWAIT_SLOW=1")
    monkeypatch.chdir(README.parent)
    run(shlex.split(arguments))
    assert comparable(capsys.readouterr().out.rstrip()) == comparable(output.rstrip())


def test_there_are_such_commands() -> None:
    assert len(BLOCKS) >= 5
    for page in PAGES:
        assert "$ timewait" not in re.sub(r"```console\n\$ timewait", "", page.read_text())
