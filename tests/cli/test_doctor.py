import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from needs import OrdinaryUser, require_namespaces
from timewait.cli.doctor import Asked, plain
from timewait.host.limits import Limits
from timewait.host.snapshot_file import from_text
from timewait.lab.kernel import KernelHost
from troubles import HOSTS, SERVICE, TROUBLES, gone, spend


def doctor(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "timewait", "doctor", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def replayed(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    pairs = zip(Limits._fields, TROUBLES[name].limits, Limits(), strict=True)
    lowered = [f"--limit={field}={value}" for field, value, default in pairs if value != default]
    return doctor("--from", HOSTS / f"{name}.json", *lowered, *arguments)


def as_data(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(done.stdout)
    assert (data["schema_version"], data["command"]) == (1, "doctor")
    return data


@pytest.mark.parametrize("name", TROUBLES)
def test_the_exit_status_is_that_of_the_worst_finding(name: str) -> None:
    done = replayed(name)
    worst = max(
        ([" NOTE", " WARNING", " CRITICAL"].index(" " + due.split()[1]) for due in TROUBLES[name].due), default=0
    )
    assert (done.returncode, done.stderr) == (worst, "")
    commands = ("sysctl", "timewait explain")  # never broken: they are there to be copied
    assert max(len(line) for line in done.stdout.splitlines() if not any(word in line for word in commands)) <= 80


def test_the_first_line_names_the_trouble_and_the_screen_its_evidence_before_its_advice() -> None:
    lines = replayed("ports-gone").stdout.splitlines()
    assert lines[0] == "CRITICAL  ports-gone  127.0.0.1 -> 127.0.0.1:5432: 100 of 100 ports in use (100"
    assert re.fullmatch(r" {10}TIME-WAIT; the next one leaves in [\d.]+ to [\d.]+ s\)", lines[1])
    labels = [line[2:10].strip() for line in lines[2:] if line.startswith("  ") and line[2] != " "]
    assert labels == ["ports", "who", "rate", "ahead", "not", "do", "host", "fullest"]
    assert "not: tcp_fin_timeout (it never touches TIME-WAIT)" in " ".join(" ".join(lines).split())


def test_a_quiet_host_is_told_so_in_one_line() -> None:
    assert replayed("quiet").stdout.startswith("OK        no shortage of ports")


def test_server_side_time_wait_is_called_high_and_harmless() -> None:
    text = " ".join(replayed("server-time-wait").stdout.split())
    assert re.search(r"server-side TIME-WAIT is high and harmless: 1,\d{3}", text)
    assert "they use no ephemeral port" in text
    assert "do 1 nothing" in text
    assert "closes first, of the services here: 127.0.0.1:5432 (1," in text


def test_a_command_names_the_namespace_and_its_undo() -> None:
    require_namespaces()
    with KernelHost() as host:
        gone(host)
        done = doctor("--netns", str(host.pid))
        enter = f"nsenter -t {host.pid} -n sysctl -w"
    assert done.returncode == 2
    assert f"            {enter} net.ipv4.tcp_tw_reuse=1\n" in done.stdout
    assert f"            undo: {enter} net.ipv4.tcp_tw_reuse=0\n" in done.stdout
    assert f'undo: {enter} net.ipv4.ip_local_port_range="40000 40099"' in done.stdout


def test_following_the_advice_ends_the_trouble() -> None:
    require_namespaces()
    with KernelHost() as host:
        gone(host)
        assert doctor("--netns", str(host.pid)).returncode == 2
        host.set_sysctl("net.ipv4.tcp_tw_reuse", "1")
        host.wait(1_100_000_000)
        after = doctor("--netns", str(host.pid), "--json")
        assert host.connect(SERVICE).ok
    assert (after.returncode, as_data(after)["findings"]) == (0, [])


def test_who_holds_live_sockets_is_named() -> None:
    require_namespaces()
    from troubles import held_by_live_sockets

    with KernelHost() as host:
        held_by_live_sockets(host)
        (found,) = as_data(doctor("--netns", str(host.pid), "--json"))["findings"]
    who = next(line["text"] for line in found["evidence"] if line["label"] == "who")
    assert re.match(rf"python\S* \(pid {host.pid}(, [^)]+)?\): 70 live; role client", who)
    assert "nobody has closed yet" in who


def test_json_holds_the_numbers_of_a_finding() -> None:
    data = as_data(replayed("ports-nearly-gone", "--json"))
    (found,) = data["findings"]
    assert (data["severity"], found["id"], found["severity"]) == ("CRITICAL", "ports-nearly-gone", "CRITICAL")
    numbers = found["numbers"]
    assert (numbers["budget"], numbers["used"], numbers["headroom"]) == (100, 95, 5)
    assert len(numbers["closes_each_second"]) == 59
    assert found["advice"][1]["command"].endswith("sysctl -w net.ipv4.tcp_tw_reuse=1")
    assert data["destinations"][0]["by_state"] == {"TIME-WAIT": 90, "ESTABLISHED": 5}


def test_check_is_one_line_with_performance_data() -> None:
    done = replayed("search-step", "--check")
    assert done.returncode == 1
    assert re.fullmatch(
        r"TIMEWAIT WARNING - search-step 127\.0\.0\.1 -> 127\.0\.0\.1:5432: 60 of 100 ports in use "
        r"\(60 TIME-WAIT; the next one leaves in [\d.]+ to [\d.]+ s\) \| "
        r"fullest=60\.0%;50;90;0;100 time_wait=60;;;0;131072 closes_per_s=[\d.]+;;;0\n",
        done.stdout,
    )
    assert replayed("quiet", "--check").stdout.startswith("TIMEWAIT OK - no finding | ")


def test_check_answers_unknown_where_it_cannot_tell() -> None:
    done = doctor("--check", "--netns", "no-such-namespace")
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout == (
        "TIMEWAIT UNKNOWN - there is no network namespace 'no-such-namespace' "
        "(/run/netns/no-such-namespace does not exist)\n"
    )


def test_an_interval_tells_what_rises_from_what_is_old() -> None:
    require_namespaces()
    with KernelHost() as host:
        TROUBLES["paws-time-wait"].make(host)
        before = as_data(doctor("--netns", str(host.pid), "--json"))
        within = as_data(doctor("--netns", str(host.pid), "--json", "--interval", "0.1"))
    assert [found["id"] for found in before["findings"]] == ["paws-time-wait"]
    assert within["findings"] == []
    assert within["host"]["interval_s"] >= 0.1


def test_an_interval_tells_rates() -> None:
    require_namespaces()
    with KernelHost() as host:
        listener = host.listen(SERVICE).value
        command = [sys.executable, "-m", "timewait", "doctor", "--netns", str(host.pid), "--interval", "2"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        while process.poll() is None:
            spend(host, listener, 1, first="server")
            host.wait(10_000_000)
        assert process.stdout is not None
        text = " ".join(process.stdout.read().split())
        process.stdout.close()
    rates = re.search(r"moved per second, over 2\S* s: (\S+) opened, (\S+) accepted, (\S+) entered TIME-WAIT", text)
    assert rates is not None, text
    opened, accepted, entered = map(float, rates.groups())
    assert 1 < opened < 110
    assert abs(opened - accepted) <= 2  # they stand in one file
    assert abs(entered - accepted) <= 2 + accepted / 2  # in another one, which is read later on a busy machine


def test_limits_from_the_command_line_win_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "limits.toml"
    file.write_text("[doctor]\nports_step = 0.8\nserver_time_wait = 50\n")
    assert replayed("search-step", "--limits", str(file)).returncode == 0
    assert replayed("search-step", "--limits", str(file), "--limit", "ports_step=0.6").returncode == 1
    assert replayed("search-step", "--limit", "ports_nearly_gone=0.6").returncode == 2


@pytest.mark.parametrize("text", ["doctor = 3", "[doctor]\npaws = [1]", "[doctor]\nothers = 1", "[doctor", "\x00"])
def test_a_file_of_limits_that_makes_no_sense_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "limits.toml"
    file.write_text(text)
    done = replayed("quiet", "--limits", str(file))
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr.startswith("error: ")


def test_every_limit_is_listed_in_help() -> None:
    text = doctor("--help").stdout
    assert all(re.search(rf"^ +{name} = ", text, re.MULTILINE) for name in Limits._fields)


def test_a_snapshot_can_be_saved_made_anonymous_and_examined_again(tmp_path: Path) -> None:
    names = [tmp_path / name for name in ("plain.json", "one.json", "two.json")]
    assert doctor("--from", HOSTS / "ports-gone.json", "--save", names[0]).returncode == 2
    texts = names[0].read_text(), (HOSTS / "ports-gone.json").read_text()
    assert from_text(texts[0], "one") == from_text(texts[1], "other")
    for name in names[1:]:
        assert doctor("--from", HOSTS / "ports-gone.json", "--anonymise", "--save", name).returncode == 2
    if Path("/etc/machine-id").exists():
        assert names[1].read_text() == names[2].read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--from", "/no/such/file"], "/no/such/file cannot be read"),
        (["--from", "README.md"], "README.md is not a snapshot"),
        (["--from", "tests/hosts/quiet.json", "--netns", "x"], "--from examines a file"),
        (["--limit", "ports_step"], "has no value"),
        (["--limit", "ports_stop=1"], "no limit 'ports_stop'"),
        (["--limit", "ports_step=much"], "'much' is not a number"),
        (["--limit", "ports_step=nan"], "'nan' is not a number"),
        (["--limits", "README.md"], "README.md cannot be read"),
        (["--interval", "-1"], "--interval"),
        (["--netns", "no-such-namespace"], "no network namespace"),
        (["--from", "tests/hosts/quiet.json", "--save", "/no/such/file"], "/no/such/file cannot be written"),
    ],
)
def test_bad_input_is_two_lines_and_no_traceback(arguments: list[str], words: str) -> None:
    root = Path(__file__).parent.parent.parent
    command = [sys.executable, "-m", "timewait", "doctor", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root)
    assert done.returncode == 64, done
    assert words in done.stderr
    assert done.stderr.count("\n") == 2
    assert done.stderr.startswith("error: ")
    assert "\nhint:  " in done.stderr


def test_an_ordinary_user_gets_an_answer(somebody: OrdinaryUser) -> None:
    done = somebody.run(["doctor"])
    assert done.returncode in (0, 1, 2), done.stderr
    assert " in TIME-WAIT (" in " ".join(done.stdout.split())


def test_plain_arguments_are_read_without_click() -> None:
    assert plain([]) == Asked()
    assert plain(["--netns", "4711", "--json"]) == Asked(netns="4711", as_json=True)
    for arguments in (["--help"], ["--net", "x"], ["--netns"], ["--netns", "--json"], ["--interval", "1"], ["extra"]):
        assert plain(arguments) is None


def test_a_look_at_a_host_imports_little() -> None:
    code = (
        "import sys; from timewait.cli import doctor as d; d.show(d.plain([]));"
        "print(sorted({'click', 'rich', 'numpy', 'json', 'hashlib', 'shutil'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[]"
