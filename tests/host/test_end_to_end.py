"""Real programs in trouble: the first line names it, and who follows the advice is rid of it, shown by a second look.

nginx as a proxy that keeps no connection to its upstream; a service that cannot be started again; two clients behind
one NAT address.  All in private namespaces, with addresses for documentation (RFC 5737) and RFC 1918's.
"""

import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from needs import missing, require_namespaces, require_program
from timewait.clock import MS, SECOND
from timewait.lab.kernel import KernelHost
from troubles import RANGE

NGINX = """
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr crit;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
    uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
    upstream service {{ server 192.0.2.1:8081; {keepalive} }}
    server {{
        listen 192.0.2.1:8080;
        location / {{ proxy_pass http://service; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    }}
    server {{ listen 192.0.2.1:8081; keepalive_requests 1000000; location / {{ return 200 "served\\n"; }} }}
}}
"""
SERVICE = """
import http.server, socketserver
socketserver.TCPServer.allow_reuse_address = {flag}
with socketserver.TCPServer(("127.0.0.1", 8080), http.server.SimpleHTTPRequestHandler) as server:
    server.serve_forever()
"""
# The first byte says who closes first: s, the server; c, the client.
SERVER = """
import socket
with socket.create_server(("192.0.2.2", 80), backlog=128) as listener:
    print("ready", flush=True)
    while True:
        connection, _ = listener.accept()
        with connection:
            if connection.recv(1) == b"c":
                connection.recv(1)
"""
CLIENT = """
import socket, sys
who, first, last = sys.argv[1].encode(), int(sys.argv[2]), int(sys.argv[3])
for port in range(first, last):
    with socket.socket() as own:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        own.settimeout(20)
        own.bind(("", port))
        own.connect(("192.0.2.2", 80))
        own.send(who)
        if who == b"s":
            assert own.recv(1) == b""
"""


def doctor(pid: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "timewait", "doctor", "--netns", str(pid), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def inside(host: KernelHost, *command: str) -> str:
    """Run a command in the host's namespace to its end; return what it printed."""
    process = host.start(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output = process.communicate(timeout=60)[0].decode(errors="replace")
    assert process.returncode == 0, f"{shlex.join(command)}: {output}"
    return output


@contextlib.contextmanager
def running(host: KernelHost, *command: str, **options: Any) -> Iterator["subprocess.Popen[bytes]"]:
    process = host.start(command, **options)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=60)


def listening(host: KernelHost, port: int, process: "subprocess.Popen[bytes]") -> bool:
    """Wait until somebody listens on a port; return False where the process ended instead."""
    while not host.sockets(local_port=port) or all(row.state != "LISTEN" for row in host.sockets(local_port=port)):
        if process.poll() is not None:
            return False
        host.wait(20 * MS)
    return True


def load(host: KernelHost, url: str, requests: int, *options: str) -> int:
    """Send so many requests, four at a time; return how many were not answered with 200."""
    ab = require_program("ab", "apache2-utils")
    output = inside(host, ab, "-q", "-n", str(requests), "-c", "4", *options, url)
    assert f"Complete requests:      {requests}" in output
    refused = re.search(r"^Non-2xx responses: +(\d+)", output, re.MULTILINE)
    return int(refused[1]) if refused else 0


def test_a_proxy_without_upstream_keep_alive(tmp_path: Path) -> None:
    require_namespaces()
    nginx, ip = require_program("nginx", "nginx-light"), require_program("ip", "iproute2")
    require_program("ab", "apache2-utils")

    def proxy(keepalive: str) -> list[str]:
        (tmp_path / "nginx.conf").write_text(NGINX.format(folder=tmp_path, keepalive=keepalive))
        return [nginx, "-p", str(tmp_path), "-e", "stderr", "-c", str(tmp_path / "nginx.conf")]

    with KernelHost() as host:
        inside(host, ip, "address", "add", "192.0.2.1/32", "dev", "lo")  # not loopback's: tcp_tw_reuse = 2 is as off
        host.set_sysctl(RANGE, "40000 40299")
        with running(host, *proxy(""), stderr=subprocess.DEVNULL) as process:
            assert listening(host, 8080, process)
            assert load(host, "http://192.0.2.1:8080/", 500, "-k") > 0
            seen = doctor(host.pid)
            assert seen.returncode == 2
            assert seen.stdout.startswith(
                "CRITICAL  ports-gone  192.0.2.1 -> 192.0.2.1:8081: 300 of 300 ports in use (300"
            )
            assert "\n  do      1 keep connections open" in seen.stdout
        host.wait(63 * SECOND)  # what waits now was made without
        with running(host, *proxy("keepalive 16;"), stderr=subprocess.DEVNULL) as process:
            assert listening(host, 8080, process)
            assert load(host, "http://192.0.2.1:8080/", 5000, "-k") == 0
            seen = doctor(host.pid)
    assert seen.returncode == 0
    assert seen.stdout.startswith("OK        no shortage of ports")


def test_a_restart_that_cannot_bind(tmp_path: Path) -> None:
    require_namespaces()
    for name, package in (("ab", "apache2-utils"), ("ss", "iproute2"), ("nsenter", "util-linux")):
        require_program(name, package)

    def service(flag: bool) -> list[str]:
        return [sys.executable, "-c", SERVICE.format(flag=flag)]

    options: dict[str, Any] = {"cwd": tmp_path, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with KernelHost() as host:
        with running(host, *service(False), **options) as process:
            assert listening(host, 8080, process)
            load(host, "http://127.0.0.1:8080/", 5)
        with running(host, *service(False), **options) as process:
            assert not listening(host, 8080, process)
            assert process.stderr is not None
            assert b"Address already in use" in process.stderr.read()
        seen = doctor(host.pid, "--json")
        (found,) = json.loads(seen.stdout)["findings"]
        assert doctor(host.pid).stdout.startswith(
            "WARNING   restart-blocked  service 127.0.0.1:8080: 5 TIME-WAIT hold "
        )
        forget, ask = [step["command"] for step in found["advice"] if step["command"]]
        assert ask == f"timewait explain EADDRINUSE --from 127.0.0.1:8080 --try --netns {host.pid}"
        asked = subprocess.run(
            [sys.executable, "-m", *shlex.split(ask)], capture_output=True, text=True, timeout=60
        ).stdout
        assert "bind() just now fails with SO_REUSEADDR too: the old sockets had been" in " ".join(asked.split())
        run_as_printed(host, forget)
        for _ in range(2):
            with running(host, *service(True), **options) as process:
                assert listening(host, 8080, process)
                load(host, "http://127.0.0.1:8080/", 5)
                seen = doctor(host.pid)
                assert (seen.returncode, seen.stdout[:2]) == (0, "OK")


def run_as_printed(host: KernelHost, command: str) -> None:
    """Run a command of doctor's advice: as it stands for root, within the namespace for others."""
    words = shlex.split(command)
    assert words[:4] == ["nsenter", "-t", str(host.pid), "-n"]
    if os.geteuid() == 0:
        subprocess.run(words, check=True, capture_output=True, timeout=60)
    else:
        inside(host, *words[4:])
    if host.sockets(local_port=8080):
        missing("a kernel with CONFIG_INET_DIAG_DESTROY")


class Nat:
    """Two clients, a router that hides them behind one address, a server: four namespaces that end with `host`."""

    def __init__(self, host: KernelHost, stack: contextlib.ExitStack) -> None:
        self.host = host
        self.stack = stack
        self.ends = [stack.enter_context(running(host, "unshare", "-n", "sleep", "200")) for _ in range(3)]
        # On its way each passes through this process's namespace and the host's: a device must not land there.
        passed = {os.readlink(f"/proc/{pid}/ns/net") for pid in ("self", host.pid)}
        while any(os.readlink(f"/proc/{end.pid}/ns/net") in passed for end in self.ends):
            host.wait(10 * MS)
        for number, (net, end) in enumerate(zip(("10.0.1", "10.0.2", "192.0.2"), self.ends, strict=True)):
            peer = ("peer", "name", "e", "netns", str(end.pid))
            inside(host, "ip", "link", "add", f"v{number}", "type", "veth", *peer)
            inside(host, "ip", "address", "add", f"{net}.1/24", "dev", f"v{number}")
            inside(host, "ip", "link", "set", f"v{number}", "up")
            self.at(number, "ip", "address", "add", f"{net}.2/24", "dev", "e")
            self.at(number, "ip", "link", "set", "e", "up")
            self.at(number, "ip", "route", "add", "default", "via", f"{net}.1")
        inside(host, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        inside(host, "nft", "add table ip nat")
        inside(host, "nft", "add chain ip nat out { type nat hook postrouting priority 100 ; }")
        inside(host, "nft", "add rule ip nat out oifname v2 masquerade")
        # Shorter than the server's: the router gives a port to the next client while the server still waits.
        inside(host, "sh", "-c", "echo 1 > /proc/sys/net/netfilter/nf_conntrack_tcp_timeout_time_wait")

    def command(self, number: int, *words: str) -> list[str]:
        return ["nsenter", "-t", str(self.ends[number].pid), "-n", *words]

    def at(self, number: int, *words: str) -> str:
        return inside(self.host, *self.command(number, *words))

    def connect(self, client: int, who: str, first: int, last: int) -> None:
        self.at(client, sys.executable, "-c", CLIENT, who, str(first), str(last))


def test_two_clients_behind_one_address() -> None:
    """RFC 7323 5: the second client's clock is another one, and about half its SYNs look old."""
    require_namespaces()
    for name, package in (
        ("nft", "nftables"),
        ("ip", "iproute2"),
        ("nsenter", "util-linux"),
        ("unshare", "util-linux"),
    ):
        require_program(name, package)
    with contextlib.ExitStack() as stack:
        host = stack.enter_context(KernelHost())
        nat = Nat(host, stack)
        server = stack.enter_context(
            running(host, *nat.command(2, sys.executable, "-c", SERVER), stdout=subprocess.PIPE)
        )
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        lines = {}
        for who, base in (("s", 20000), ("c", 30000)):
            nat.connect(0, who, base, base + 400)
            host.wait(1500 * MS)  # until what the router keeps has expired
            command = [sys.executable, "-m", "timewait", "doctor", "--netns", str(nat.ends[2].pid), "--interval", "4"]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as looking:
                for port in range(base, base + 400, 20):
                    if looking.poll() is None:
                        nat.connect(1, who, port, port + 20)
                lines[who] = looking.communicate(timeout=60)[0].splitlines()
    assert lines["s"][0].startswith("WARNING   paws-time-wait  segments with old timestamps meet TIME-WAIT: ")
    assert any("let the client close first" in line for line in lines["s"])
    assert lines["c"][0].startswith("OK ")
