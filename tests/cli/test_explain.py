"""`timewait explain`: causes made for real and confirmed, on quiet hosts ruled out, and findings explained."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from needs import require_namespaces
from timewait.endpoint import Endpoint
from timewait.host.causes import ALIASES, SYMPTOMS, symptom
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


def test_connections_without_timestamps_are_confirmed() -> None:
    require_namespaces()
    with KernelHost() as host:
        TROUBLES["timestamps-off"].make(host)
        (cause,) = confirmed(host, "EADDRNOTAVAIL", "--to", str(SERVICE))
        assert cause.startswith("the program binds one port")


def test_a_saved_host_is_judged_as_far_as_it_tells() -> None:
    done = explain("EADDRNOTAVAIL", "--snapshot", str(HOSTS / "ports-gone.json"))
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert lines[:2] == ["EADDRNOTAVAIL", "  confirmed      every local port towards the destination is in use"]
    assert max(map(len, lines)) <= 80


def test_every_finding_is_explained_and_every_explanation_is_of_a_finding() -> None:
    due = {each.split()[0] for trouble in TROUBLES.values() for each in trouble.due}
    rules = "".join((ROOT / f"src/timewait/host/{name}.py").read_text() for name in ("findings", "port_findings"))
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
        (["EADDRINUSE", "--netns", "no-such-namespace"], "no network namespace"),
    ],
)
def test_bad_input_is_two_lines_and_no_traceback(arguments: list[str], words: str) -> None:
    done = explain(*arguments)
    assert done.returncode == 64, done
    assert words in done.stderr
    assert done.stderr.count("\n") == 2
