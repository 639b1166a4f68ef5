import json
import os
import re
import socket
import subprocess
import sys

import pytest

from needs import OrdinaryUser, missing, require_namespaces
from timewait.cli.group import run
from timewait.errors import TimewaitError


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    require_namespaces()
    status = run(["rtest", *arguments])
    return status, capsys.readouterr().out


def test_a_server_that_closes_first_is_told_as_the_original_program_did(capsys: pytest.CaptureFixture[str]) -> None:
    status, output = shown(capsys, "44400", "s", "--count", "3")
    assert status == 0
    assert output.splitlines()[:4] == ["Will initiate server close", "connecting...", "connecting...", "connecting..."]
    assert "all 3 connects succeeded" in output
    assert re.search(r"TIME-WAIT +127\.0\.0\.1:44400 +127\.0\.0\.1:44401 +server +(60|59)\.\d s", output)
    assert "counters  TW +3" in output
    assert "listener-reopens" in output


def test_a_refused_connect_ends_the_run_with_the_c_library_s_words(capsys: pytest.CaptureFixture[str]) -> None:
    status, output = shown(capsys, "44400", "c", "--timestamps", "off")
    assert status == 1
    assert output.splitlines()[:4] == [
        "Will initiate client close",
        "connecting...",
        "connecting...",
        "connect: Cannot assign requested address",
    ]
    assert "no-timestamps" in output
    assert "--timestamps on" in output


def test_an_explicit_bind_on_today_s_linux_names_what_brings_the_original_result_back(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, output = shown(capsys, "44400", "c")
    assert status == 0
    assert "saw EADDRNOTAVAIL" in " ".join(output.split())
    assert "EADDRNOTAVAIL, as in the first account, with any one of: --timestamps off" in output


@pytest.mark.parametrize(
    "arguments",
    [
        ["44400", "s", "--ipv6", "--count", "2"],
        ["44400", "s", "--payload", "5000", "--count", "2"],
        ["44400", "c", "--linger0", "--count", "2"],
        ["44400", "c", "--rfc1337", "--count", "2"],
        ["44400", "c", "--peer-close", "late", "--interval", "0.1", "--count", "2"],
        [
            "44400",
            "c",
            "--tw-reuse",
            "1",
            "--tw-reuse-delay",
            "1",
            "--bind",
            "ephemeral",
            "--interval",
            "0.1",
            "--count",
            "2",
        ],
        ["1", "s", "--count", "2"],
        ["44400", "s", "--count", "1"],
    ],
)
def test_every_option_is_taken(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, *arguments)[0] == 0


def test_json_is_one_document_with_what_was_asked_seen_and_concluded(capsys: pytest.CaptureFixture[str]) -> None:
    status, output = shown(capsys, "44400", "c", "--timestamps", "off", "--json")
    data = json.loads(output)
    assert status == 1
    assert data["schema_version"] == 1
    assert data["ok"] is False
    assert [attempt["error"] for attempt in data["attempts"]] == ["", "EADDRNOTAVAIL"]
    assert data["attempts"][1]["before"]["client"]["state"] == "TIME-WAIT"
    assert data["explanation"]["rule"]["id"] == "no-timestamps"
    assert data["sockets"][0]["role"] == "client"
    assert data["counters"]["TcpExt.TW"] == 1


def test_the_matrix_is_one_table_of_36_cells_with_the_rules_below(capsys: pytest.CaptureFixture[str]) -> None:
    status, output = shown(capsys, "--matrix")
    assert status == 0
    rows = [line.split() for line in output.splitlines()[1:13]]
    assert all(len(row) == 9 for row in rows)
    assert sum(row[3] == "ok" for row in rows) == 12
    for letter in "SBEtod":
        assert re.search(rf"^{letter}  \w", output, re.MULTILINE)


def test_the_matrix_as_json_has_36_cells(capsys: pytest.CaptureFixture[str]) -> None:
    cells = json.loads(shown(capsys, "--matrix", "--json")[1])["cells"]
    assert len(cells) == 36
    assert len({(c["timestamps"], c["tw_reuse"], c["bind"], c["closer"], c["pause_ns"]) for c in cells}) == 36


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rtest"], "which port"),
        (["rtest", "0", "s"], "0 is not a port"),
        (["rtest", "65536", "s"], "65536 is not a port"),
        (["rtest", "65535", "s"], "port 65536"),
        (["rtest", "many", "s"], "'many'"),
        (["rtest", "44400"], "who closes first"),
        (["rtest", "44400", "x"], "'x' does not say"),
        (["rtest", "44400", "s", "--tw-reuse", "3"], "'3'"),
        (["rtest", "44400", "s", "--interval", "-1"], "'-1'"),
        (["rtest", "44400", "s", "--interval", "nan"], "'nan'"),
        (["rtest", "44400", "s", "--payload", "-1"], "-1"),
        (["rtest", "44400", "s", "--here", "--timestamps", "off"], "tcp_timestamps"),
        (["rtest", "44400", "c", "--here", "--bind", "ephemeral"], "ip_local_port_range"),
        (["rtest", "44400", "s", "--matrix"], "--matrix"),
        (["rtest", "--matrix", "--count", "3"], "--count"),
        (["rtest", "44400", "s", "--nonsense"], "--nonsense"),
        (["rtets"], "'rtets'"),
    ],
)
def test_a_command_line_that_cannot_be_meant_says_why_and_a_way_on(arguments: list[str], words: str) -> None:
    with pytest.raises(TimewaitError) as caught:
        run(arguments)
    assert caught.value.status == 64
    assert words in caught.value.what
    assert caught.value.hint


def whole(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a process of its own, as a shell would."""
    return subprocess.run([sys.executable, "-m", "timewait", *arguments], capture_output=True, text=True, timeout=60)


def test_errors_are_two_lines_on_stderr_and_no_traceback() -> None:
    done = whole("rtest", "70000", "s")
    assert done.returncode == 64
    assert done.stdout == ""
    assert done.stderr.splitlines() == ["error: 70000 is not a port", "hint:  a port is a number from 1 to 65535"]


def test_here_uses_the_machine_s_own_stack_and_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = whole("rtest", str(taken.getsockname()[1]), "s", "--here")
    assert done.returncode == 69
    assert "EADDRINUSE" in done.stderr
    assert "Traceback" not in done.stderr


def test_here_says_how_long_the_four_tuple_stays_taken() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    done = whole("rtest", str(port), "s", "--here", "--count", "2")
    if port < 65535:
        assert done.returncode == 0, done.stderr
        assert "the machine's own stack" in done.stdout
        assert "stays taken for" in done.stdout


def test_a_reader_that_leaves_early_is_no_error() -> None:
    require_namespaces()
    command = f"{sys.executable} -m timewait rtest 44400 s | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stdout == "Will initiate server close\n"
    assert "Traceback" not in done.stderr


def test_an_ordinary_user_sees_the_same(somebody: OrdinaryUser) -> None:
    require_namespaces()
    kept = somebody.run(["rtest", "44400", "s", "--count", "3"])
    assert (kept.returncode, kept.stderr) == (0, "")
    refused = somebody.run(["rtest", "44400", "c", "--timestamps", "off"])
    assert refused.returncode == 1
    assert "no-timestamps" in refused.stdout


def test_an_ordinary_user_gets_the_matrix(somebody: OrdinaryUser) -> None:
    require_namespaces()
    done = somebody.run(["rtest", "--matrix", "--json"])
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["cells"]) == 36


def test_an_ordinary_user_may_list_the_host_s_sockets(somebody: OrdinaryUser) -> None:
    done = somebody.run(["sockets", "--state", "all", "--json"])
    assert done.returncode == 0, done.stderr
    json.loads(done.stdout)


def test_help_and_version_and_completion_work(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--help"], ["rtest", "--help"], ["sockets", "--help"], ["--version"]):
        assert run(arguments) == 0
        assert capsys.readouterr().out
    assert run(["completion", "bash"]) == 0
    assert "_TIMEWAIT_COMPLETE" in capsys.readouterr().out
    done = subprocess.run(
        [sys.executable, "-m", "timewait"],
        env={**os.environ, "_TIMEWAIT_COMPLETE": "bash_complete", "COMP_WORDS": "timewait rte", "COMP_CWORD": "1"},
        capture_output=True,
        text=True,
    )
    assert "rtest" in done.stdout


def test_an_ordinary_user_is_kept_out_of_another_s_namespace(somebody: OrdinaryUser) -> None:
    if os.geteuid() != 0:
        missing("only root has a process that others may not look into: run as root")
    done = somebody.run(["sockets", "--netns", str(os.getpid())])
    assert done.returncode == 69
    assert "hint:  run as root" in done.stderr
    assert "Traceback" not in done.stderr
