import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from needs import missing, require_namespaces, require_program
from timewait.endpoint import Endpoint
from timewait.errors import UnavailableError
from timewait.lab.kernel import KernelHost
from timewait.system import sysctl

RTEST = [sys.executable, "-m", "timewait", "rtest"]


def namespace(pid: int | str) -> str:
    return os.readlink(f"/proc/{pid}/ns/net")


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def ended(descriptor: int, seconds: float) -> bool:
    """Wait for the process behind a pidfd to end."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def settings() -> dict[str, str | None]:
    names = ("tcp_timestamps", "tcp_tw_reuse", "tcp_rfc1337", "ip_local_port_range", "tcp_max_tw_buckets")
    return {name: sysctl.read(f"net.ipv4.{name}") for name in names}


def test_a_private_host_has_a_namespace_of_its_own_with_loopback_up() -> None:
    require_namespaces()
    with KernelHost() as host:
        assert namespace(host.pid) != namespace("self")
        for address in ("127.0.0.1", "::1"):
            assert host.listen(Endpoint(address, 80)).ok


def test_a_sysctl_of_a_private_host_is_its_own() -> None:
    require_namespaces()
    before = settings()
    with KernelHost() as host:
        host.set_sysctl("net.ipv4.tcp_timestamps", "0")
        assert host.sysctl("net.ipv4.tcp_timestamps") == "0"
    assert settings() == before


def test_no_sysctl_is_written_outside_a_private_namespace() -> None:
    with pytest.raises(UnavailableError, match="not in a private namespace"):
        sysctl.write("net.ipv4.tcp_timestamps", "1")
    with KernelHost(private=False) as host, pytest.raises(UnavailableError, match="not in a private namespace"):
        host.set_sysctl("net.ipv4.tcp_timestamps", "1")


def test_the_agent_goes_with_its_host() -> None:
    require_namespaces()
    with KernelHost() as host:
        descriptor = os.pidfd_open(host.pid)
    assert ended(descriptor, 0)
    os.close(descriptor)


@pytest.mark.parametrize("blocked", [False, True])
def test_killing_rtest_leaves_no_process_namespace_or_setting_behind(blocked: bool) -> None:
    """SIGKILL in the middle of a run: nobody gets to clean up, so the kernel has to (PR_SET_PDEATHSIG)."""
    require_namespaces()
    before = settings()
    interval = "3000" if blocked else "0.01"  # the agent waits inside a call, or works
    options = ["44400", "c", "--count", "0", "--interval", interval, "--timestamps", "on", "--tw-reuse", "0"]
    process = subprocess.Popen([*RTEST, *options], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(2):
        process.stdout.readline()
    (agent,) = children(process.pid)
    inside, descriptor = namespace(agent), os.pidfd_open(agent)
    assert inside != namespace("self")
    process.kill()
    process.wait()
    process.stdout.close()
    assert ended(descriptor, 10)
    os.close(descriptor)
    assert inside not in _namespaces_in_use()
    assert settings() == before


def _namespaces_in_use() -> set[str]:
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                found.add(namespace(entry.name))
            except OSError:
                continue  # ended meanwhile, or another user's
    return found


def test_ctrl_c_still_prints_the_summary() -> None:
    require_namespaces()
    process = subprocess.Popen(
        [*RTEST, "44400", "s", "--count", "0", "--interval", "0.01"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for _ in range(5):
        process.stdout.readline()
    process.send_signal(signal.SIGINT)
    output = process.stdout.read()
    process.stdout.close()
    assert process.wait(10) == 0
    assert "until the run was interrupted" in output
    assert "listener-reopens" in output


def test_ctrl_c_ends_a_long_pause_at_once() -> None:
    require_namespaces()
    began = time.monotonic()
    process = subprocess.Popen([*RTEST, "44400", "s", "--interval", "600"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(2):
        process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    process.stdout.close()
    assert time.monotonic() - began < 60


def test_switched_off_user_namespaces_are_named_with_a_way_on() -> None:
    """The limits are per user namespace, so one where both are zero stands for a machine that allows neither."""
    require_namespaces()
    unshare = require_program("unshare", "util-linux")
    script = 'echo 0 > /proc/sys/user/max_user_namespaces && echo 0 > /proc/sys/user/max_net_namespaces && exec "$@"'
    done = subprocess.run(
        [unshare, "--user", "--map-root-user", "sh", "-c", script, "sh", *RTEST, "44400", "s"],
        capture_output=True,
        text=True,
    )
    if "Permission denied" in done.stderr:
        missing("the limits of user namespaces cannot be set here: run as root")
    assert done.returncode == 69
    assert "user.max_user_namespaces = 0" in done.stderr
    assert "hint:" in done.stderr
    assert "Traceback" not in done.stderr
