"""Configurations of other programs: what is read of them, what is listed as not used, and hostile ones."""

import pytest

from timewait.errors import TimewaitError, UsageError
from timewait.plan import importers, workload_file
from timewait.plan.demand import Arrivals, Binding
from timewait.plan.importers.imported import Asked, Imported
from timewait.plan.workload import Pool

NGINX = r"""
user www-data; worker_processes 4;
http {
  upstream app {
    server 10.0.0.1:8080 weight=2; server 10.0.0.2:8080; server 10.0.0.9:8080 backup;
    keepalive 32; keepalive_requests 500; keepalive_timeout 1m30s; zone app 64k;
  }
  upstream spare { server 10.0.0.7; }
  server { # a comment with } and ;
    server_name a "b } c" '~^(?<x>.+)$';
    location / {
      proxy_pass http://app/path; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_bind 10.0.1.1;
      location ~ \.php$ { fastcgi_pass 127.0.0.1:9000; if ($x = "a;b") { return 403; } proxy_bind 10.0.1.2; }
    }
    location /dyn { proxy_pass http://$host; }
    location /unix { proxy_pass http://unix:/run/app.sock; }
  }
  include conf.d/*.conf;
}
"""
HAPROXY = """
global
    maxconn 20000
defaults
    http-reuse never
frontend web
    bind :80
backend app   # a comment
    source 10.0.0.5:20000-40000
    server a1 10.1.0.1:8080 maxconn 100 check
    server a2 10.1.0.2:8080 maxconn 100 backup
backend img
    http-reuse always
    server-template i 1-8 img.example.com:80 maxconn 50
"""
PROMETHEUS = """
global: {scrape_interval: 15s, evaluation_interval: 1m}
rule_files: [x.yml]
scrape_configs:
  - job_name: node
    static_configs:
      - targets: ['a:9100', 'b:9100', 'c:9100']
  - {job_name: slow, scrape_interval: 10m, static_configs: [{targets: ['d:9100', 'no target']}]}
  - {job_name: pods, kubernetes_sd_configs: [{role: pod}]}
"""
K6 = """
import http from 'k6/http';
export const options = {
  noConnectionReuse: true, // each its own
  thresholds: { http_req_failed: ['rate<0.01'], },
  scenarios: {
    "steady": { executor: 'constant-arrival-rate', rate: 1_000, timeUnit: '2s', preAllocatedVUs: 100, exec: "a\\"b" },
    ramp: { executor: 'ramping-arrival-rate', stages: [{ target: 10, duration: '1m' }, { target: 80 }] },
  },
};
export default function () { http.get('https://x'); }
"""


def load(kind: str, text: str, rate: float | None = None, hold: float | None = None) -> Imported:
    found = importers.load(kind, text, "file", Asked(rate, hold))
    assert workload_file.read(workload_file.write(found.workload), "written") == found.workload
    return found


def left(found: Imported) -> str:
    return "\n".join(f"{line} {text}" for line, text in found.unused)


def test_nginx() -> None:
    found = load("nginx", NGINX, rate=100)
    app, php = found.workload.destinations
    assert (app.name, app.hosts, app.ports) == ("app", 2, ((8080, 8080),))
    assert (php.loopback, php.ports) == (True, ((9000, 9000),))
    one, other = found.workload.flows
    assert one.pool == Pool(size=4 * 32, idle=90.0)  # of each worker
    assert (one.per_connection, one.rate, other.pool) == (500.0, 50.0, None)
    assert found.workload.sources[0].addresses == 2
    for words in (
        "2 user www-data",
        "5 server 10.0.0.9:8080 backup",
        "6 zone app 64k",
        "upstream spare",
        "proxy_pass http://$host",
        "unix:/run/app.sock",
        "include conf.d/*.conf",
        "return 403",
    ):
        assert words in left(found)


def test_haproxy() -> None:
    found = load("haproxy", HAPROXY, rate=100, hold=0.1)
    (source,) = found.workload.sources
    assert (source.binding, source.port_range) == (Binding.EXPLICIT, (20000, 40000))
    app, img = found.workload.destinations
    assert (app.hosts, img.hosts) == (1, 8)
    never, always = found.workload.flows
    assert never.pool is None
    assert always.pool == Pool(size=400, idle=5.0, waits=True)
    for words in ("3 maxconn 20000", "7 bind :80", "server a1: check", "server a2 10.1.0.2:8080 maxconn 100 backup"):
        assert words in left(found)


def test_prometheus() -> None:
    pytest.importorskip("yaml")
    found = load("prometheus", PROMETHEUS)
    node, slow = found.workload.flows
    assert (node.rate, node.arrivals, node.pool) == (3 / 15, Arrivals.CONSTANT, Pool(size=3, idle=300.0))
    assert slow.rate == pytest.approx(1 / 600)
    assert slow.pool is None
    for words in ("rule_files", "evaluation_interval", "no target", "pods: kubernetes_sd_configs"):
        assert words in left(found)


def test_k6() -> None:
    found = load("k6", K6)
    steady, ramp = found.workload.flows
    assert (steady.rate, steady.arrivals, steady.pool) == (500.0, Arrivals.CONSTANT, None)
    assert ramp.rate == 80.0
    assert "thresholds" in left(found)
    assert "steady: exec" in left(found)
    users = load("k6", '{"vus": 20, "duration": "1m"}', hold=0.1).workload.flows[0]
    assert (users.rate, users.pool) == (200.0, Pool(size=20))


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("nginx", "http {", "not closed"),
        ("nginx", "}", "too many"),
        ("nginx", "listen 80", "does not end"),
        ("nginx", '"open', "cannot be read"),
        ("nginx", "a { " * 5000, "nested"),
        ("nginx", "upstream a { server x; }", "nothing is connected to"),
        ("haproxy", "server a b", "no section"),
        ("haproxy", 'backend x\n server "a', "file:2"),
        ("prometheus", "a: [", "no YAML"),
        ("prometheus", "- 1", "scrape_configs"),
        ("prometheus", "scrape_configs: [1]", "no mapping"),
        ("prometheus", "scrape_configs: [{scrape_interval: often, static_configs: [{targets: [a]}]}]", "often"),
        ("prometheus", "[" * 3000, "file"),
        ("k6", "export const options = makeOptions();", "no `export const options"),
        ("k6", "export const options = { vus: __ENV.VUS };", "__ENV"),
        ("k6", "export const options = { a: `x` };", "more than a value"),
        ("k6", '{"a": ' * 3000, "nested"),
        ("k6", "{}", "--rate"),
        ("squid", "", "squid"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(kind: str, text: str, words: str) -> None:
    if kind == "prometheus":
        pytest.importorskip("yaml")
    with pytest.raises(TimewaitError) as caught:
        importers.load(kind, text, "file", Asked(None, 0.0))
    assert words in f"{caught.value.what} {caught.value.hint}"
    assert len(caught.value.what) < 300


def test_a_bomb_of_aliases_is_not_walked_through() -> None:
    pytest.importorskip("yaml")
    rows = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12))]
    with pytest.raises(UsageError):
        importers.load("prometheus", "\n".join(rows), "file", Asked(None, None))


def test_nothing_says_how_often() -> None:
    with pytest.raises(UsageError, match="how many requests") as caught:
        importers.load("nginx", NGINX, "file", Asked(None, None))
    assert "--rate" in caught.value.hint
