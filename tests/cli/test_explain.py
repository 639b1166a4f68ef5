"""`timewait explain`: causes made for real and confirmed, on quiet hosts ruled out, and findings explained."""

import errno
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from needs import require_namespaces
from timewait.endpoint import Endpoint
from timewait.host.causes import ALIASES, SYMPTOMS, said, symptom
from timewait.host.meanings import MEANINGS
from timewait.lab.kernel import KernelHost
from troubles import HOSTS, SERVICE, TROUBLES, bound_early, ends, gone, quiet

ROOT = Path(__file__).parent.parent.parent


def explain(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "timewait", "explain", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def confirmed(host: KernelHost, *arguments: str) -> list[str]:
    done = explain(*arguments, "--netns", str(host.pid), "--json")
    assert done.stderr == ""
    causes: list[dict[str, Any]] = json.loads(done.stdout)["causes"]
    found = [cause["cause"] for cause in causes if cause["verdict"] == "confirmed"]
    assert done.returncode == bool(found)
    return found


@pytest.mark.parametrize("name", SYMPTOMS)
def test_on_a_quiet_host_no_cause_is_confirmed(name: str) -> None:
    require_namespaces()
    with KernelHost() as host:
        quiet(host)
        assert confirmed(host, name, "--to", str(SERVICE)) == []


def test_exhaustion_is_confirmed_towards_the_full_destination_and_no_other() -> None:
    require_namespaces()
    with KernelHost() as host:
        gone(host)
        cause = "every local port towards the destination is in use"
        assert confirmed(host, "EADDRNOTAVAIL", "--to", str(SERVICE)) == [cause]
        assert confirmed(host, "cannot assign requested address", "--to", "127.0.0.1:5433") == []


def test_a_restart_that_cannot_bind_is_told_from_one_that_can() -> None:
    """net/ipv4/inet_connection_sock.c, inet_bind_conflict: both sockets need SO_REUSEADDR."""
    require_namespaces()
    with KernelHost() as host:
        listener = host.listen(SERVICE, reuse_address=False).value
        client, server = ends(host, listener)
        host.close(server)
        host.close(client)
        assert confirmed(host, "EADDRINUSE", "--from", str(SERVICE)) == ["another socket listens on the port"]
        host.close(listener)
        assert host.listen(SERVICE).error == "EADDRINUSE"
        (cause,) = confirmed(host, "EADDRINUSE", "--from", str(SERVICE))
        assert cause.startswith("sockets in TIME-WAIT hold the port")
        other = Endpoint(SERVICE.address, 5433)
        assert confirmed(host, "EADDRINUSE", "--from", str(other)) == []
        assert host.listen(other).ok


def test_ports_chosen_by_bind_are_confirmed_for_both_errors() -> None:
    require_namespaces()
    with KernelHost() as host:
        bound_early(host)
        for name in ("EADDRINUSE", "EADDRNOTAVAIL"):
            (cause,) = confirmed(host, name)
            assert cause.startswith("bind() to port 0 chose the ports")


def test_an_address_that_is_not_here_is_confirmed() -> None:
    require_namespaces()
    with KernelHost() as host:
        quiet(host)
        assert confirmed(host, "EADDRNOTAVAIL", "--from", "192.0.2.1") == ["the source address is not on this host"]
        assert host.connect(SERVICE, source=Endpoint("192.0.2.1", 0)).error == "EADDRNOTAVAIL"


def test_without_a_source_it_is_the_one_that_the_kernel_takes() -> None:
    """From the routing table: loopback's own for loopback, and none where there is no route."""
    require_namespaces()
    with KernelHost() as host:
        asked = ("EADDRNOTAVAIL", "--netns", str(host.pid), "--to")
        shown = explain(*asked, str(SERVICE))
        here = json.loads(explain(*asked, "127.0.0.7:80", "--json").stdout)
        nowhere = json.loads(explain(*asked, "192.0.2.1:80", "--json").stdout)
    assert "without bind() the kernel takes 127.0.0.1;" in shown.stdout
    assert verdict(shown.stdout, "the source address is not on this host") == "ruled out"
    assert (here["from"], here["route"]) == (None, {"source": "127.0.0.1", "error": None})
    assert nowhere["route"] == {"source": None, "error": "ENETUNREACH"}


def test_connections_without_timestamps_are_confirmed() -> None:
    require_namespaces()
    with KernelHost() as host:
        TROUBLES["timestamps-off"].make(host)
        (cause,) = confirmed(host, "EADDRNOTAVAIL", "--to", str(SERVICE))
        assert cause.startswith("the program binds one port")


def verdicts(host: KernelHost, *arguments: str) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Return each cause's verdict by the first words of its name, and what was tried."""
    done = explain(*arguments, "--netns", str(host.pid), "--json")
    data = json.loads(done.stdout)
    return {" ".join(cause["cause"].split()[:3]): cause["verdict"] for cause in data["causes"]}, data["tried"]


def test_a_tried_connect_shows_the_error_and_leaves_nothing_behind() -> None:
    require_namespaces()
    with KernelHost() as host:
        listener = host.listen(SERVICE).value
        found, (tried,) = verdicts(host, "EADDRNOTAVAIL", "--to", str(SERVICE), "--try")
        assert (tried["call"], tried["error"], tried["timestamps"]) == ("connect", None, True)
        assert found["the program binds"] == "ruled out"
        host.close(host.accept(listener).value)
        assert [row.state for row in host.sockets() if row.state != "LISTEN"] == []
        host.close(listener)
        gone(host)
        found, (tried,) = verdicts(host, "EADDRNOTAVAIL", "--to", str(SERVICE), "--try")
        assert (tried["error"], found["every local port"]) == ("EADDRNOTAVAIL", "confirmed")


def test_a_fixed_pair_is_looked_up_and_tried() -> None:
    """net/ipv4/inet_hashtables.c, __inet_check_established: only a TIME-WAIT that had timestamps is taken over."""
    require_namespaces()
    own = Endpoint("127.0.0.1", 20000)
    asked = ("EADDRNOTAVAIL", "--to", str(SERVICE), "--from", str(own))
    with KernelHost() as host:
        host.set_sysctl("net.ipv4.tcp_timestamps", "0")
        listener = host.listen(SERVICE).value
        client = host.connect(SERVICE, source=own, reuse_address=True).value
        server = host.accept(listener).value
        found, _ = verdicts(host, *asked)
        assert found["a connection over"] == "confirmed"
        host.close(client)
        host.close(server)
        found, (tried,) = verdicts(host, *asked, "--try")
        assert tried["error"] == host.connect(SERVICE, source=own, reuse_address=True).error == "EADDRNOTAVAIL"
        assert (found["the program binds"], found["a connection over"]) == ("confirmed", "ruled out")


def test_a_fixed_pair_with_timestamps_is_taken_over() -> None:
    require_namespaces()
    own = Endpoint("127.0.0.1", 20000)
    with KernelHost() as host:
        listener = host.listen(SERVICE).value
        client = host.connect(SERVICE, source=own, reuse_address=True).value
        server = host.accept(listener).value
        host.close(client)
        host.close(server)
        found, (tried,) = verdicts(host, "EADDRNOTAVAIL", "--to", str(SERVICE), "--from", str(own), "--try")
    assert (tried["error"], tried["local"], found["the program binds"]) == (None, str(own), "ruled out")


@pytest.mark.parametrize("reuse", [True, False])
def test_a_tried_bind_tells_which_socket_lacks_the_flag(reuse: bool) -> None:
    """net/ipv4/inet_connection_sock.c, inet_bind_conflict: the old socket had the flag, or not."""
    require_namespaces()
    with KernelHost() as host:
        listener = host.listen(SERVICE, reuse_address=reuse).value
        client, server = ends(host, listener)
        for each in (server, client, listener):
            host.close(each)
        done = explain("EADDRINUSE", "--from", str(SERVICE), "--try", "--netns", str(host.pid), "--json")
        assert host.listen(SERVICE, reuse_address=True).ok is reuse
    data = json.loads(done.stdout)
    assert [(each["reuse_address"], each["error"]) for each in data["tried"]] == [
        (False, "EADDRINUSE"),
        (True, None if reuse else "EADDRINUSE"),
    ]
    words = "the new socket lacks it" if reuse else "the old sockets had been without it"
    assert words in data["causes"][0]["evidence"]


def test_a_connect_that_takes_a_second_is_a_lost_syn() -> None:
    """RFC 6298 2.1: the SYN that a full accept queue dropped is sent again after one second."""
    require_namespaces()
    with KernelHost() as host:
        listener = host.listen(SERVICE, backlog=0).value
        assert host.connect(SERVICE).ok  # a backlog of 0 leaves room for one: sk_acceptq_is_full
        command = [sys.executable, "-m", "timewait", "explain", "1-second connects", "--to", str(SERVICE), "--try"]
        process = subprocess.Popen([*command, "--netns", str(host.pid), "--json"], stdout=subprocess.PIPE, text=True)
        while not any(row.state == "SYN-SENT" for row in host.sockets()):
            assert process.poll() is None
        host.accept(listener)
        data = json.loads(process.communicate(timeout=60)[0])
    (tried,) = data["tried"]
    assert tried["error"] is None
    assert tried["resent"] >= 1
    assert 0.9 <= tried["took_ns"] / 1e9 < 9
    (cause,) = (cause for cause in data["causes"] if cause["cause"].startswith("the SYN or its answer is lost"))
    assert cause["verdict"] == "confirmed"


def test_a_connect_sent_again_at_once_met_a_time_wait_that_refused_it() -> None:
    """RFC 7323 5: the client comes back with an older clock; with the other clock first, half the tries do."""
    require_namespaces()
    with KernelHost() as host:
        listener = host.listen(SERVICE).value
        for number in range(16):
            own = Endpoint(f"127.0.1.{number + 1}", 20000)
            host.set_sysctl("net.ipv4.tcp_timestamps", "12"[number % 2])
            client = host.connect(SERVICE, source=own, reuse_address=True).value
            host.close(host.accept(listener).value)
            host.close(client)
            host.set_sysctl("net.ipv4.tcp_timestamps", "21"[number % 2])
            found, (tried,) = verdicts(host, "slow connects", "--to", str(SERVICE), "--from", str(own), "--try")
            host.close(host.accept(listener).value)
            assert found["the SYN meets"] == ("confirmed" if tried["resent"] else "ruled out"), tried
            if tried["resent"]:
                assert tried["took_ns"] < 900_000_000
                return
    raise AssertionError("sixteen clocks, and none was behind")


def test_the_error_is_taken_from_a_command_run_in_the_same_namespace() -> None:
    require_namespaces()
    code = f"import socket; socket.create_connection({tuple(SERVICE)!r})"
    with KernelHost() as host:
        gone(host)
        line = shlex.join([sys.executable, "-c", code])
        done = explain("--errno-from", line, "--to", str(SERVICE), "--netns", str(host.pid))
    assert done.returncode == 1
    assert done.stdout.startswith("EADDRNOTAVAIL\n  confirmed      every local port")
    assert "OSError: [Errno 99] Cannot assign requested address\nthe command ended with status 1" in done.stderr


@pytest.mark.parametrize(
    ("line", "status", "words"),
    [
        ("true", 0, "ended with status 0"),
        ("sh -c 'exit 98'", 0, "it says EADDRINUSE"),
        ("sh -c 'exit 3'", 0, "it names none of: EADDRNOTAVAIL"),
        ("echo bind: address in use", 0, "it says EADDRINUSE"),
    ],
)
def test_a_command_is_read_by_its_words_then_by_its_status(line: str, status: int, words: str) -> None:
    done = explain("--errno-from", line)
    assert done.returncode in (0, 1)
    assert words in done.stderr


@pytest.mark.parametrize(
    ("line", "words", "agrees"),
    [
        ("echo bind: address in use", "command        agrees: it says EADDRINUSE", True),
        ("echo Connection timed out", "command        differs: it says connect timeout, not EADDRINUSE", False),
        ("true", "command        ended well; it does not show EADDRINUSE now", False),
        ("false", "command        failed, and does not say EADDRINUSE", False),
    ],
)
def test_what_is_asked_and_what_a_command_says_agree_or_differ(line: str, words: str, agrees: bool) -> None:
    asked = ("EADDRINUSE", "--from", "127.0.0.1:1", "--errno-from", line)
    shown = explain(*asked).stdout
    assert shown.startswith(f"EADDRINUSE\n  {words}")
    assert "another socket listens" in shown
    assert json.loads(explain(*asked, "--json").stdout)["heard"]["agrees"] is agrees


def test_the_last_error_named_is_the_one() -> None:
    assert said("Connection timed out, trying again\nconnect: Cannot assign requested address\n", 0) == "EADDRNOTAVAIL"
    assert said("", errno.ETIMEDOUT) == "connect timeout"
    assert said("all is well", 0) is None
    assert said("", None) is None


def test_a_saved_host_is_judged_as_far_as_it_tells() -> None:
    done = explain("EADDRNOTAVAIL", "--snapshot", str(HOSTS / "ports-gone.json"))
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert lines[:2] == ["EADDRNOTAVAIL", "  confirmed      every local port towards the destination is in use"]
    assert max(map(len, lines)) <= 80


def test_every_finding_is_explained_and_every_explanation_is_of_a_finding() -> None:
    due = {each.split()[0] for trouble in TROUBLES.values() for each in trouble.due}
    rules = "".join(file.read_text() for file in (ROOT / "src/timewait/host").glob("*findings.py"))
    assert due <= set(MEANINGS)
    assert all(f'"{name}"' in rules for name in MEANINGS)
    assert explain("ports-gone").stdout.startswith("ports-gone\n  A four-tuple in TIME-WAIT")


def test_symptoms_are_understood_in_the_words_of_users() -> None:
    assert symptom("eaddrnotavail") == "EADDRNOTAVAIL"
    assert symptom("Cannot  assign requested address") == "EADDRNOTAVAIL"
    assert symptom("1-second connects") == "slow connects"
    assert symptom("nonsense") is None
    assert set(ALIASES.values()) <= set(SYMPTOMS)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["EADDRNOTAVIAL"], "did you mean 'EADDRNOTAVAIL'?"),
        (["EADDRINUSE", "--from", "8080"], "'8080' is not an address"),
        (["EADDRINUSE", "--snapshot", "/no/such/file"], "/no/such/file cannot be read"),
        (["EADDRINUSE", "--snapshot", "x", "--netns", "y"], "--snapshot examines a file"),
        ([], "one of WHAT and --errno-from is needed"),
        (["EADDRINUSE", "--try"], "--try has nothing to bind"),
        (["slow connects", "--try", "--to", "127.0.0.1"], "--try has nowhere to connect to"),
        (["--errno-from", "/no/such/program"], "'/no/such/program' cannot be run"),
        (["--errno-from", "'"], "is not a command"),
        (["--errno-from", " "], "--errno-from has no command"),
        (["EADDRINUSE", "--netns", "no-such-namespace"], "no network namespace"),
    ],
)
def test_bad_input_is_two_lines_and_no_traceback(arguments: list[str], words: str) -> None:
    done = explain(*arguments)
    assert done.returncode == 64, done
    assert words in done.stderr
    assert done.stderr.count("\n") == 2


NARROW = """
import socket, sys
kept, ten = [], (40000 | 40009 << 16).to_bytes(4, sys.byteorder)
while True:
    own = socket.socket()
    own.setsockopt(socket.IPPROTO_IP, 51, ten)
    try:
        own.connect(("127.0.0.1", 5432))
    except OSError as error:
        print(len(kept), error.errno, flush=True)
        break
    kept.append(own)
input()
"""


def test_a_range_of_the_sockets_own_is_found_where_live_ones_can_be_asked() -> None:
    """ip(7): IP_LOCAL_PORT_RANGE, since 6.3.  Ten ports are all in use while the namespace has thousands."""
    require_namespaces()
    with KernelHost() as host:
        host.listen(SERVICE)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with host.start([sys.executable, "-c", NARROW], **pipes) as program:
            assert program.stdout is not None
            assert program.stdout.readline() == f"10 {errno.EADDRNOTAVAIL}\n".encode()
            found = confirmed(host, "EADDRNOTAVAIL", "--to", str(SERVICE))
            other = confirmed(host, "EADDRNOTAVAIL", "--to", "127.0.0.1:5433")
            program.communicate(b"\n")
    if not found and os.geteuid():
        pytest.skip("this user may not ask other processes (Yama)")
    assert found == ["the socket has a narrower range of its own (IP_LOCAL_PORT_RANGE)"]
    assert other == []


def test_a_search_takes_milliseconds_and_explains_no_second() -> None:
    file = HOSTS / "search-step.json"
    slow, second = (explain(what, "--snapshot", str(file)).stdout for what in ("slow connects", "1-second connects"))
    assert verdict(slow, "connect() searches") == "confirmed"
    assert verdict(second, "connect() searches") == "ruled out"


def verdict(output: str, cause: str) -> str:
    (line,) = [line for line in output.splitlines() if cause in line]
    return line[: line.index(cause)].strip()
