"""Real programs of other people fetch from the engine, and the engine from theirs.

Sizes are chosen for a few seconds in all on two cores: 100 MB with offload and without loss, where the link is fastest;
20 MB with 1 % loss and reordering, some 140 packets lost in each direction together.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bridged import BULK, ROUGH, V4, V6, Family, Web, World, body, digest, fetch, served, world
from needs import require_program
from timewait.endpoint import Endpoint
from timewait.sim.link import PERFECT

LARGE = 100_000_000
MEDIUM = 20_000_000
FAMILIES = pytest.mark.parametrize("family", [V4, V6], ids=["IPv4", "IPv6"])


def lost(both: World) -> int:
    return both.bridge.to_kernel.lost + both.bridge.from_kernel.lost


def by_curl(at: World, family: Family, content: bytes) -> str:
    """Serve `content` from the engine; return the hash of what curl got."""
    require_program("curl")
    at.bridge.programs.serve(Endpoint(family.engine, 80), lambda: Web(content), options=BULK)
    return at.output(["sh", "-c", 'curl --silent --show-error --fail "$0" | sha256sum', family.url()]).split()[0]


@FAMILIES
def test_curl_fetches_100_mb_from_the_engine(family: Family) -> None:
    with world(offload=True) as both:
        assert by_curl(both, family, body(LARGE)) == digest(body(LARGE))


@FAMILIES
def test_curl_fetches_through_a_link_that_loses_and_reorders(family: Family) -> None:
    with world(conditions=ROUGH, seed=3) as both:
        assert by_curl(both, family, body(MEDIUM)) == digest(body(MEDIUM))
        assert lost(both) > 50
        assert both.bridge.to_kernel.late + both.bridge.from_kernel.late > 50
        assert both.bridge.stack.counters["RetransSegs"] > 0


def test_curl_fetches_super_segments_through_a_link_that_loses() -> None:
    """Each packet lost is up to 64 KB of text."""
    with world(offload=True, conditions=ROUGH, seed=3) as both:
        assert by_curl(both, V4, body(MEDIUM // 4)) == digest(body(MEDIUM // 4))


@FAMILIES
def test_the_engine_fetches_from_pythons_http_server(family: Family, tmp_path: Path) -> None:
    name, expected = served(tmp_path, MEDIUM)
    command = [sys.executable, "-u", "-m", "http.server", "8000", "--bind", family.kernel, "--directory", str(tmp_path)]
    with (
        world(offload=True) as both,
        both.running(*command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server,
    ):
        assert server.stdout is not None
        assert both.bridge.wait_for(server.stdout.fileno()), "http.server did not start"
        got = fetch(both.bridge, Endpoint(family.kernel, 8000), name)
    assert (got.error, got.status, got.size, got.digest) == (None, "HTTP/1.0 200 OK", MEDIUM, expected)


NGINX = """
daemon off;
master_process off;
pid {folder}/pid;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
    uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
    server {{ listen 192.0.2.1:8080; listen [2001:db8::1]:8080; root {folder}/www; }}
}}
"""


def nginx(folder: Path) -> list[str]:
    """Return the command for an nginx that writes nothing outside `folder`."""
    found = require_program("nginx", "nginx-light")
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder))
    return [found, "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]


@FAMILIES
@pytest.mark.parametrize("rough", [False, True], ids=["a good link", "1 % loss"])
def test_the_engine_fetches_from_nginx(family: Family, rough: bool, tmp_path: Path) -> None:
    folder = tmp_path / "www"
    folder.mkdir()
    name, expected = served(folder, MEDIUM)
    command = nginx(tmp_path)
    conditions = ROUGH if rough else PERFECT
    with (
        world(offload=not rough, conditions=conditions, seed=4) as both,
        both.running(*command, stderr=subprocess.DEVNULL),
    ):
        got = fetch(both.bridge, Endpoint(family.kernel, 8080), name)
        assert not rough or lost(both) > 50
    assert (got.error, got.status, got.size, got.digest) == (None, "HTTP/1.1 200 OK", MEDIUM, expected)


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    before = os.listdir("/sys/class/net")
    with world() as both:
        assert by_curl(both, V4, b"hello") == digest(b"hello")
        assert os.listdir("/sys/class/net") == before
    assert os.listdir("/sys/class/net") == before
