"""Workload files: what is read, what is refused and with which words, and that written ones read the same."""

import json
from dataclasses import replace
from importlib import resources
from pathlib import Path

import fastjsonschema
import pytest

from timewait.errors import UsageError
from timewait.plan import paths, workload_file
from timewait.plan.demand import Arrivals, Binding
from timewait.plan.workload import Bursts, Destination, Flow, Holding, Middlebox, Pool, Source, Workload

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
SMALL = """
[[sources]]
name = "app"
[[destinations]]
name = "db"
ports = [5432]
[[flows]]
source = "app"
destination = "db"
rate = "500/s"
"""
FULL = Workload(
    title='a "quoted" title',
    notes=("measured\tby hand", "ümlaut"),
    within=600.0,
    growth=0.05,
    sources=(
        Source(
            name="app",
            hosts=4,
            addresses=2,
            port_range=(1024, 65535),
            reserved_ports=((8080, 8080), (9000, 9010)),
            sysctls=(("net.ipv4.tcp_tw_reuse", "1"),),
            socket_range=True,
        ),
        Source(name="old", profile="freebsd", binding=Binding.BIND),
    ),
    destinations=(
        Destination(name="db", hosts=3, ports=((5432, 5432),), client_closes=0.25),
        Destination(name="self", loopback=True, client_closes=0.0, profile="linux-4.0"),
    ),
    middleboxes=(Middlebox(name="nat", addresses=2, takes_over=False, time_wait=30.0, most=1000),),
    flows=(
        Flow(
            source="app",
            destination="db",
            rate=500.0,
            holds=Holding(mean=0.02, distribution="lognormal", spread=2.0),
            pool=Pool(size=100, idle=60.0, waits=True),
            per_connection=100.0,
            bursts=Bursts(rate=2000.0, lasts=10.0, every=300.0),
            via=("nat",),
        ),
        Flow(source="old", destination="self", rate=0.5, arrivals=Arrivals.CONSTANT, daily=(0.5, 1.5), octets=2048),
    ),
)


def test_what_is_left_out_has_a_default() -> None:
    found = workload_file.read(SMALL, "small.toml")
    assert found.flows == (Flow(source="app", destination="db", rate=500.0),)
    assert (found.sources[0].profile, found.destinations[0].client_closes, found.within) == ("linux", 1.0, 3600.0)


def test_a_workload_that_is_written_reads_the_same() -> None:
    assert workload_file.read(workload_file.write(FULL), "full.toml") == FULL


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_the_examples_are_read(path: Path) -> None:
    assert workload_file.read(path.read_text(), path.name).flows


def test_the_schema_takes_what_the_reader_takes() -> None:
    import tomllib

    text = resources.files("timewait.report").joinpath("schemas", "workload.json").read_text()
    check = fastjsonschema.compile(json.loads(text))
    for good in (SMALL, workload_file.write(FULL)):
        check(tomllib.loads(good))
    for bad in ('[[flows]]\nrate = "5"', SMALL.replace('"500/s"', "500"), SMALL.replace("ports", "prots")):
        with pytest.raises(fastjsonschema.JsonSchemaException):
            check(tomllib.loads(bad))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('rate = "500/s"', "rate = 500", ["flows 1", "rate = 500", "unit", '"500/s"']),
        ('rate = "500/s"', 'rate = "500"', ["'500' has no unit", "500/s"]),
        ('rate = "500/s"', 'rate = "10s"', ["'10s' is a duration, not a rate"]),
        ('rate = "500/s"', 'rate = "5ms/s"', ["'5ms/s'"]),
        ('rate = "500/s"', 'rate = "-5/s"', ["'-5/s'"]),
        ('rate = "500/s"', 'rate = "0/s"', ["0/s"]),
        ('rate = "500/s"', "", ["rate is missing"]),
        ('rate = "500/s"', 'rate = "500/s"\nholds = 5', ["holds = 5", '"5ms"']),
        ('rate = "500/s"', 'rate = "500/s"\nholds = "5/s"', ["'5/s' is a rate, not a duration"]),
        ('rate = "500/s"', 'rate = "500/s"\nholds = { mean = "1s", distribution = "normal" }', ["normal", "lognormal"]),
        ('rate = "500/s"', 'rate = "500/s"\nhold = "5s"', ["'hold'", "did you mean holds?"]),
        ('rate = "500/s"', 'rate = "500/s"\nvia = ["gate"]', ["middlebox 'gate'"]),
        ('rate = "500/s"', 'rate = "500/s"\ndaily = [0, 0]', ["daily"]),
        ('rate = "500/s"', 'rate = "500/s"\ndaily = [1, nan]', ["daily"]),
        ('rate = "500/s"', 'rate = "500/s"\npool = { size = 8 }', ["holds"]),
        ('rate = "500/s"', 'rate = "500/s"\nbursts = { rate = "5/s", lasts = "1s", every = "5s" }', ["5/s", "500/s"]),
        ('rate = "500/s"', 'rate = "500/s"\nbursts = { rate = "5k/s", lasts = "9s", every = "5s" }', ["9 s", "5 s"]),
        ("ports = [5432]", "ports = 5432", ["ports = 5432", "[5432]"]),
        ("ports = [5432]", "ports = [0]", ["0 to 0"]),
        ("ports = [5432]", "ports = []", ["no port"]),
        ("ports = [5432]", 'ports = ["9010-9000"]', ["9010 down to 9000"]),
        ("ports = [5432]", "ports = [65536]", ["65535"]),
        ("ports = [5432]", "hosts = 0", ["0 hosts"]),
        ("ports = [5432]", "hosts = true", ["hosts", "whole number"]),
        ("ports = [5432]", 'closes_first = "me"', ["closes_first", '"server"']),
        ("ports = [5432]", "closes_first = 1.5", ["closes_first", "1.5"]),
        ('name = "app"', 'name = "app"\nport_range = [60999, 32768]', ["60999 down to 32768"]),
        ('name = "app"', 'name = "app"\nprofile = "plan9"', ["profile", '"freebsd"']),
        ('name = "app"', 'name = "appp"', ["source 'app'", "did you mean 'appp'?"]),
        ('name = "app"', 'name = "app"\n[[sources]]\nname = "app"', ["two of source 'app'"]),
        ("[[sources]]", "[sources]", ["[[sources]]"]),
        ("[[sources]]", "[[source]]", ["'source'", "did you mean", "sources"]),
        ("[[sources]]", 'withing = "1h"\n[[sources]]', ["did you mean within?"]),
        ("[[sources]]", 'growth = "5%"\n[[sources]]', ["growth", "5%/month"]),
        ("[[sources]]", "= [[sources]]", ["no TOML"]),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(old: str, new: str, words: list[str]) -> None:
    assert old in SMALL
    with pytest.raises(UsageError) as caught:
        workload_file.read(SMALL.replace(old, new, 1), "small.toml")
    said = f"{caught.value.what}\n{caught.value.hint}"
    assert said.startswith("small.toml")
    assert not [word for word in words if word not in said], said
    assert caught.value.hint


@pytest.mark.parametrize(
    "text",
    ["[" * 5000, "x = " + "[" * 5000, "a" * (1 << 21), "\0", 'rate = "' + "9" * 5000 + '/s"', "x = " + "9" * 5000],
)
def test_hostile_files_are_refused_in_a_line(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        workload_file.read(text, "x.toml")
    assert len(caught.value.what) < 400


def test_ports_are_shared_by_who_can_use_them() -> None:
    """Late: a set for each address and pair; bind(): one for each address, whatever the destination."""
    late = replace(FULL.sources[0], binding=Binding.LATE)
    load = Workload(
        sources=(late,), destinations=FULL.destinations[:1], flows=(Flow(source="app", destination="db", rate=480),)
    )
    found = paths.of_source(load, late, load.destinations[0])
    assert (found.count, found.ports, found.first_half) == (4 * 2 * 3, 64512 - 12, None)
    assert found.rate == pytest.approx(20.0)
    assert [each.rate for each in found.streams] == pytest.approx([5.0, 15.0])
    assert [each.blocked for each in found.streams] == [1.0, 0.0]
    bound = replace(late, binding=Binding.BIND, socket_range=False)
    found = paths.of_source(load, bound, load.destinations[0])
    assert (found.count, found.towards) == (8, "")
    assert found.streams[0].blocked == pytest.approx(61.3)


def test_a_pool_opens_what_it_cannot_carry_and_what_is_used_up() -> None:
    """10 requests in service on average and 10 connections: Erlang's B(10, 10) = 21.5 % open one of their own."""
    flow = Flow(source="app", destination="db", rate=500, holds=Holding(mean=0.02), pool=Pool(size=10))
    load = Workload(sources=(Source(name="app"),), destinations=(Destination(name="db"),), flows=(flow,))
    found = paths.connects(load, flow)
    assert found.rate == pytest.approx(500 * 0.21458, rel=1e-4)
    assert found.standing == 10
    used_up = replace(flow, per_connection=100.0)
    assert paths.connects(load, used_up).rate == pytest.approx(500 * (0.21458 + 0.78542 / 100), rel=1e-4)
    with pytest.raises(UsageError, match="pool of 10"):
        paths.connects(load, replace(flow, pool=Pool(size=10, waits=True)))


def test_a_nat_has_ports_of_its_own() -> None:
    load = replace(FULL, flows=FULL.flows[:1])
    found = paths.of_middlebox(load, load.middleboxes[0], load.destinations[0])
    assert found is not None
    assert (found.count, found.ports) == (2 * 3, 64512)
    assert {stream.blocked for stream in found.streams} == {30.0}
