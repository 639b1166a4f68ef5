"""The schemas that the package ships: what the commands print keeps to them, and broken documents do not."""

import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest

from needs import require_namespaces
from timewait.host.causes import SYMPTOMS
from timewait.host.findings import examine
from timewait.host.meanings import MEANINGS
from timewait.host.snapshot_file import from_text
from timewait.lab.kernel import KernelHost
from timewait.report.doctor import data
from troubles import HOSTS, SERVICE, TROUBLES, gone

Check = Callable[[Any], Any]


def schema(name: str) -> dict[str, Any]:
    text = resources.files("timewait.report").joinpath("schemas", f"{name}.json").read_text()
    read: dict[str, Any] = json.loads(text)
    return read


CHECKS: dict[str, Check] = {
    name: fastjsonschema.compile(schema(name)) for name in ("claims", "doctor", "explain", "lab", "sockets")
}


def printed(*arguments: str) -> Any:
    command = [sys.executable, "-m", "timewait", *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode in (0, 1, 2), done.stderr
    return json.loads(done.stdout)


def recorded(name: str) -> Any:
    seen = from_text((HOSTS / f"{name}.json").read_text(), name)
    return json.loads(json.dumps(data(seen, examine(seen))))


@pytest.mark.parametrize("name", TROUBLES)
def test_every_recorded_host_keeps_to_the_schema(name: str) -> None:
    CHECKS["doctor"](recorded(name))


def test_what_the_commands_print_keeps_to_the_schemas() -> None:
    require_namespaces()
    with KernelHost() as host:
        gone(host)
        there = ("--netns", str(host.pid))
        CHECKS["doctor"](printed("doctor", *there, "--interval", "0.1", "--requests-per-second", "10"))
        CHECKS["doctor"](printed("doctor", "--netns", "all"))
        if os.geteuid() == 0:
            CHECKS["doctor"](printed("doctor", *there, "--trace", "0.1"))
        for symptom in SYMPTOMS:
            CHECKS["explain"](printed("explain", symptom, *there))
        CHECKS["explain"](printed("explain", "EADDRNOTAVAIL", "--to", str(SERVICE), "--try", *there))
        CHECKS["explain"](printed("explain", "--errno-from", "true", *there))
        CHECKS["explain"](printed("explain", "EADDRINUSE", "--from", str(SERVICE), "--try", *there))
        for group in ([], ["--group", "destination"], ["--group", "role"], ["--group", "state"]):
            CHECKS["sockets"](printed("sockets", *there, "--state", "all", *group))


@pytest.mark.parametrize(
    "arguments",
    [
        ("lab", "list"),
        ("lab", "show", "fin-timeout"),
        ("lab", "run", "half-close", "lost-last-ack", "cost-of-connect"),
        ("lab", "compare", "--tag", "half-close"),
        ("lab", "compare", "--tag", "retransmission"),
        ("lab", "compare", "--tag", "retransmission", "--world", "bridge"),
        ("claims", "5", "16.1"),
    ],
)
def test_what_the_lab_prints_keeps_to_its_schemas(arguments: tuple[str, ...]) -> None:
    require_namespaces()
    CHECKS[arguments[0]](printed(*arguments))


@pytest.mark.parametrize("name", MEANINGS)
def test_an_explained_finding_keeps_to_the_schema(name: str) -> None:
    CHECKS["explain"](printed("explain", name))


def remove(at: Any, key: str) -> None:
    del at[key]


def spoil(at: Any, key: str) -> None:
    at[key] = [object]


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a document that names a value of an object."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield (*path, key)
            yield from places(value, (*path, key))
    elif isinstance(document, list):
        for number, value in enumerate(document):
            yield from places(value, (*path, number))


# Objects whose names are data: any of them may be missing.
OPEN = {"moved", "by_state", "refused"}


def test_a_document_that_lacks_a_field_or_has_one_of_another_kind_is_refused() -> None:
    whole = recorded("ports-gone")
    tried = 0
    for path in places(whole):
        if OPEN & set(path):
            continue
        for change in (remove, spoil):
            broken = copy.deepcopy(whole)
            at = broken
            for step in path[:-1]:
                at = at[step]
            change(at, path[-1])
            with pytest.raises(fastjsonschema.JsonSchemaException):
                CHECKS["doctor"](broken)
            tried += 1
    assert tried > 400


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema_version",), 2),
        (("command",), "sockets"),
        (("severity",), "BAD"),
        (("unknown",), 1),
        (("findings", 0, "id"), "no-such-finding"),
        (("findings", 0, "id"), "restart-blocked"),
        (("findings", 0, "numbers", "port"), 65536),
        (("findings", 0, "numbers", "by_state"), {"TIME_WAIT": 1}),
        (("findings", 0, "advice"), []),
        (("host", "hz"), -1),
        (("destinations", 0, "port"), "5432"),
    ],
)
def test_a_wrong_value_is_refused(path: tuple[Any, ...], value: Any) -> None:
    broken = recorded("ports-gone")
    at = broken
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    with pytest.raises(fastjsonschema.JsonSchemaException):
        CHECKS["doctor"](broken)


def test_every_finding_that_can_be_explained_is_in_the_schema_and_no_other() -> None:
    found = schema("doctor")["definitions"]["finding"]["properties"]["id"]["enum"]
    assert sorted(found) == sorted(MEANINGS)


def test_the_schemas_are_named_in_the_reference() -> None:
    text = (Path(__file__).parent.parent.parent / "docs/reference/json.md").read_text()
    assert all(f"schemas/{name}.json" in text for name in CHECKS)
