"""How lines for people look: at several widths, with colour and without, and with hostile names in them."""

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from timewait.host.findings import examine
from timewait.host.snapshot import Snapshot
from timewait.host.snapshot_file import from_text
from timewait.report.doctor import screen
from troubles import HOSTS, TROUBLES

ESCAPE = re.compile(r"\x1b\[[\d;]*m")


def recorded(name: str) -> Snapshot:
    return from_text((HOSTS / f"{name}.json").read_text(), name)


def on_terminal(*arguments: str | Path, columns: int = 80, environment: dict[str, str] | None = None) -> str:
    """Run the command on a terminal of its own; return what it wrote, with single line ends."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    base = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | {"TERM": "xterm"}
    command = [sys.executable, "-m", "timewait", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=theirs, stderr=subprocess.PIPE, env=base | (environment or {}))
    os.close(theirs)
    written = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # EIO: the other end is closed
            break
        if not part:
            break
        written += part
    os.close(ours)
    _, complaint = process.communicate(timeout=60)
    assert complaint == b""
    return written.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("width", [80, 60])
@pytest.mark.parametrize("name", TROUBLES)
def test_every_line_fits_but_commands(name: str, width: int) -> None:
    seen = recorded(name)
    for line in screen(seen, examine(seen), width, everything=True):
        assert len(line) <= width or re.search(r"(sysctl -w|ss -K|timewait explain) ", line), line


@pytest.mark.parametrize("width", [80, 60])
def test_long_addresses_fit_too(width: int) -> None:
    seen = recorded("ports-gone")
    (full,) = seen.populations
    six = full._replace(
        local="2001:db8:1111:2222:3333:4444:5555:6666", address="2001:db8:1111:2222:3333:4444:5555:7777"
    )
    seen = seen._replace(populations=(six,))
    lines = list(screen(seen, examine(seen), width))
    assert max(len(line) for line in lines if "sysctl" not in line) <= width
    own = "2001:db8:1111:2222:3333:4444:5555:6666 -> [2001:db8:1111:2222:3333:4444:5555:7777]:5432"
    assert " ".join(" ".join(lines[:3]).split()).startswith(f"CRITICAL ports-gone {own}")


def test_colour_changes_no_character() -> None:
    arguments = ("doctor", "--from", HOSTS / "ports-gone.json")
    coloured, plain = on_terminal(*arguments), on_terminal(*arguments, "--color", "never")
    assert "\x1b[1;31mCRITICAL" in coloured
    assert "\x1b" not in plain
    assert ESCAPE.sub("", coloured) == plain


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        ((), {}, True),
        ((), {"NO_COLOR": "1"}, False),
        ((), {"NO_COLOR": ""}, True),
        ((), {"TERM": "dumb"}, False),
        (("--color=always",), {"NO_COLOR": "1"}, True),
        (("--color=never",), {}, False),
    ],
)
def test_when_there_is_colour(arguments: tuple[str, ...], environment: dict[str, str], expected: bool) -> None:
    """https://no-color.org: a variable that is set and not empty."""
    written = on_terminal(
        "explain", "EADDRNOTAVAIL", "--snapshot", HOSTS / "ports-gone.json", *arguments, environment=environment
    )
    assert ("\x1b[1;31mconfirmed" in written) is expected


def test_a_pipe_gets_no_colour_unless_asked() -> None:
    command = [sys.executable, "-m", "timewait", "doctor", "--from", str(HOSTS / "quiet.json")]
    plain = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
    asked = subprocess.run([*command, "--color", "always"], capture_output=True, text=True, timeout=60).stdout
    assert "\x1b" not in plain
    assert ESCAPE.sub("", asked) == plain != asked


def test_the_screen_is_as_wide_as_the_terminal() -> None:
    written = on_terminal("doctor", "--from", HOSTS / "ports-gone.json", "--color=never", columns=60)
    longest = max(len(line) for line in written.splitlines() if "sysctl" not in line)
    assert 50 < longest <= 60


def test_a_hostile_name_commands_no_terminal(tmp_path: Path) -> None:
    """Any process may call itself anything: prctl(2), PR_SET_NAME."""
    text = (HOSTS / "held-by-live-sockets.json").read_text()
    assert '"owners":[[' in text
    name = re.search(r'"owners":\[\["[^"]*","[^"]*",\d+,\d+,"([^"]*)"', text)
    assert name is not None
    file = tmp_path / "hostile.json"
    file.write_text(text.replace(f'"{name[1]}"', '"\\u001b[2Jgone\\u009b31m\\r"'))
    written = on_terminal("doctor", "--from", file, "--color=never")
    assert "␛[2Jgone" in written
    assert not set("\x1b\x9b\r") & set(written)


def test_more_than_ten_findings_are_for_all() -> None:
    seen = recorded("ports-gone")
    (full,) = seen.populations
    many = seen._replace(populations=tuple(full._replace(port=port) for port in range(12)))
    found = examine(many)
    short, whole = (list(screen(many, found, 80, everything)) for everything in (False, True))
    assert sum(line.startswith("CRITICAL") for line in short) == 10
    assert "and 2 more: --all" in short
    assert sum(line.startswith("CRITICAL") for line in whole) == 12
