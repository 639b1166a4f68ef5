import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from needs import require_namespaces, require_program
from timewait.cli import sockets
from timewait.endpoint import Endpoint
from timewait.errors import UsageError
from timewait.lab.kernel import KernelHost
from timewait.system.sock_diag import ALL_STATES, LISTEN, TIME_WAIT, state_mask
from troubles import HOSTS

EXPLICIT, DUAL, SIX = Endpoint("127.0.0.1", 8001), Endpoint("::", 8002), Endpoint("::1", 8003)


@pytest.fixture(scope="module")
def host() -> Iterator[KernelHost]:
    """A namespace where clients hold three TIME-WAITs and servers three: an IPv4, a dual-stack and an IPv6 listener."""
    require_namespaces()
    with KernelHost() as made:
        for at, to in ((EXPLICIT, EXPLICIT), (DUAL, Endpoint("127.0.0.1", 8002)), (SIX, SIX)):
            listener = made.listen(at).value
            for server_first in (True, False):
                client = made.connect(to).value
                server = made.accept(listener).value
                for each in (server, client) if server_first else (client, server):
                    made.close(each)
        yield made


def shown(host: KernelHost, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "timewait", "sockets", "--netns", str(host.pid), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def rows(host: KernelHost, *arguments: str) -> list[dict[str, object]]:
    done = shown(host, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert data["schema_version"] == 1
    found: list[dict[str, object]] = data["groups" if "--group" in arguments else "sockets"]
    return found


def test_a_saved_host_has_the_same_groups(host: KernelHost, tmp_path: Path) -> None:
    file = str(tmp_path / "host.json")
    command = [sys.executable, "-m", "timewait", "doctor", "--netns", str(host.pid), "--save", file]
    subprocess.run(command, check=True, capture_output=True, timeout=60)

    def saved(*arguments: str) -> list[dict[str, object]]:
        command = [sys.executable, "-m", "timewait", "sockets", "--from", file, "--json", *arguments]
        data = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)
        return [{key: group[key] for key in group if not key.endswith("_ms")} for group in data["groups"]]

    for narrowed in (
        ["--group", "destination"],
        ["--group", "role"],
        ["--group", "state", "--state", "all"],
        ["--group", "destination", "--role", "client"],
    ):
        live = [{key: row[key] for key in row if not key.endswith("_ms")} for row in rows(host, *narrowed)]
        assert saved(*narrowed) == live
    assert saved() == saved("--group", "destination")
    to = ["--group", "destination", "--to", str(EXPLICIT)]
    assert [group["count"] for group in saved(*to)] == [1]
    live = [group for group in rows(host, *to) if group["role"] == "client"]
    assert [group["count"] for group in live] == [1]


def test_a_saved_host_s_times_are_those_of_its_sockets() -> None:
    """Of a recorded host: 100 closes of one moment, the snapshot taken at once."""
    command = [sys.executable, "-m", "timewait", "sockets", "--snapshot", str(HOSTS / "ports-gone.json")]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    head, row = done.stdout.splitlines()
    assert head.split() == ["COUNT", "STATE", "ROLE", "DESTINATION", "AGE", "TIME", "LEFT"]
    count, state, role, to, age, _, left, _ = row.split()
    assert (count, state, role, to) == ("100", "TIME-WAIT", "client", "127.0.0.1:5432")
    assert max(map(int, age.split("-"))) <= 3
    assert min(map(int, left.split("-"))) >= 57


def test_a_saved_host_and_a_namespace_are_not_both() -> None:
    command = [sys.executable, "-m", "timewait", "sockets", "--from", str(HOSTS / "quiet.json"), "--netns", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.splitlines()[0][:7]) == (64, "error: ")


def test_every_time_wait_is_listed_with_role_age_and_time_left(host: KernelHost) -> None:
    lines = shown(host).stdout.splitlines()
    assert lines[0].split() == ["STATE", "LOCAL", "PEER", "ROLE", "AGE", "TIME", "LEFT"]
    assert len(lines) == 7
    for line in lines[1:]:
        words = line.split()
        age, left = float(words[4]), float(words[6])
        assert words[0] == "TIME-WAIT"
        assert 59.5 < age + left < 60.5


def test_role_is_server_where_the_local_port_listens_dual_stack_included(host: KernelHost) -> None:
    assert {row["local"] for row in rows(host, "--role", "server")} == {
        "127.0.0.1:8001",
        "127.0.0.1:8002",
        "[::1]:8003",
    }
    assert {row["peer"] for row in rows(host, "--role", "client")} == {"127.0.0.1:8001", "127.0.0.1:8002", "[::1]:8003"}


def test_to_narrows_to_one_peer_with_or_without_its_port(host: KernelHost) -> None:
    assert [row["peer"] for row in rows(host, "--to", "127.0.0.1:8002")] == ["127.0.0.1:8002"]
    assert {row["peer"] for row in rows(host, "--to", "[::1]:8003")} == {"[::1]:8003"}
    assert len(rows(host, "--to", "127.0.0.1")) == 4
    assert rows(host, "--to", "192.0.2.1") == []


def test_groups_count_by_destination_the_end_that_was_connected_to(host: KernelHost) -> None:
    found = {(row["role"], row["destination"]): row["count"] for row in rows(host, "--group", "destination")}
    assert found == {
        (role, at): 1 for role in ("server", "client") for at in ("127.0.0.1:8001", "127.0.0.1:8002", "[::1]:8003")
    }
    assert [(row["count"], row["role"]) for row in rows(host, "--group", "role")] == [(3, "client"), (3, "server")]
    assert [(row["count"], row["state"]) for row in rows(host, "--group", "state")] == [(6, "TIME-WAIT")]


def test_groups_are_the_same_however_they_are_narrowed(host: KernelHost) -> None:
    assert [row["count"] for row in rows(host, "--group", "role", "--to", "127.0.0.1")] == [2, 2]
    assert [row["destination"] for row in rows(host, "--group", "destination", "--to", "[::1]:8003")] == ["[::1]:8003"]


def test_ss_lists_the_same_sockets(host: KernelHost) -> None:
    ss = require_program("ss", "iproute2")
    nsenter = require_program("nsenter", "util-linux")
    command = [nsenter, f"--net=/proc/{host.pid}/ns/net", ss, "-Htan", "state", "time-wait"]
    if os.geteuid() != 0:
        command[1:1] = [f"--user=/proc/{host.pid}/ns/user", "--preserve-credentials"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[:-1]
    theirs = {tuple(word.replace("[::ffff:127.0.0.1]", "127.0.0.1") for word in line.split()[2:4]) for line in listed}
    assert {(row["local"], row["peer"]) for row in rows(host)} == theirs


def test_other_states_are_listed_by_their_rfc_names(host: KernelHost) -> None:
    assert {row["local"] for row in rows(host, "--state", "LISTEN")} == {"127.0.0.1:8001", "[::]:8002", "[::1]:8003"}
    assert len(rows(host, "--state", "listen,time_wait")) == 9
    assert "no sockets in ESTABLISHED" in shown(host, "--state", "ESTABLISHED").stderr


def test_nothing_to_show_leaves_stdout_empty() -> None:
    require_namespaces()
    with KernelHost() as empty:
        done = shown(empty, "--group", "destination")
    assert (done.returncode, done.stdout) == (0, "")
    assert "no sockets in TIME-WAIT" in done.stderr


def test_state_names_become_a_mask() -> None:
    assert sockets.read_states("") == state_mask(TIME_WAIT)
    assert sockets.read_states("all") == ALL_STATES & ~state_mask(LISTEN)
    with pytest.raises(UsageError, match="TIME-WIAT") as caught:
        sockets.read_states("TIME-WIAT")
    assert "did you mean TIME-WAIT" in caught.value.hint


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--state", "TIMEWAITING"], 64, "no TCP state 'TIMEWAITING'"),
        (["--to", "nowhere.example"], 64, "'nowhere.example'"),
        (["--to", "127.0.0.1:99999"], 64, "'99999'"),
        (["--role", "both"], 64, "'both'"),
        (["--group", "color"], 64, "'color'"),
        (["--netns", "no-such-namespace"], 64, "no network namespace 'no-such-namespace'"),
        (["--netns", "4194999"], 64, "no network namespace '4194999'"),
        (["--netns", "../../etc/passwd"], 64, "not the name"),
        (["--nonsense"], 64, "--nonsense"),
    ],
)
def test_bad_input_is_two_lines_and_no_traceback(arguments: list[str], status: int, words: str) -> None:
    command = [sys.executable, "-m", "timewait", "sockets", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == status
    assert words in done.stderr
    assert "hint:" in done.stderr
    assert "Traceback" not in done.stderr


def test_plain_arguments_are_read_as_click_reads_them() -> None:
    """The quick way in must take nothing that the full parser would not, and mean the same by it."""
    for arguments in (["--group", "destination"], ["--group=role", "--json"], ["--role", "server", "--to", "::1"]):
        asked = sockets.plain(arguments)
        assert asked is not None
        words = iter(word for argument in arguments for word in argument.split("=", 1))
        for word in words:
            name = word.removeprefix("--")
            assert asked.as_json if name == "json" else getattr(asked, name) == next(words)
    for arguments in (["--help"], ["--gro", "role"], ["--group"], ["--group", "x"], ["extra"], ["--to", "--json"]):
        assert sockets.plain(arguments) is None


def test_a_light_command_imports_little() -> None:
    code = (
        "import sys; from timewait.cli import sockets as s; s.show(s.plain(['--group', 'destination']));"
        "print(sorted({'click', 'rich', 'numpy', 'typing', 'socket', 'json'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[]"
