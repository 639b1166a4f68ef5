"""How a run of the founding experiment, and its matrix, are shown: lines of text, or data for JSON."""

import os
import re
import textwrap
from collections.abc import Iterator
from typing import Any, Final

from timewait.clock import SECOND, Duration, readable
from timewait.endpoint import Endpoint
from timewait.lab.catalog.reconnect import Attempt, Parameters, Record
from timewait.lab.explanation import COUNTERS, Explanation, repeats_first_account
from timewait.lab.matrix import ENDINGS, Cell, lines
from timewait.lab.rules import RULES, Policy, Rule
from timewait.report.columns import table
from timewait.report.values import value_text
from timewait.system.socket_table import Socket

SCHEMA_VERSION: Final = 1
_LABEL: Final = 10  # columns that a label takes at the left
_SPACE: Final = "\N{NO-BREAK SPACE}"  # keeps words on one line while wrapping; printed as a plain space


def strerror(error: str) -> str:
    """Return the C library's text for an errno's name; the name itself where there is none."""
    import errno

    code = getattr(errno, error, None)
    return os.strerror(code) if isinstance(code, int) else error


def step_line(step: str, data: dict[str, Any]) -> str:
    """Return a step of the run as the original program printed it."""
    if step == "closer":
        return f"Will initiate {data['closer']} close"
    if step == "failed":
        return f"{data['call']}: {strerror(data['error'])}"
    return "connecting..."


def summary(record: Record, explanation: Explanation, width: int) -> Iterator[str]:
    """Yield the lines that follow the run itself."""
    yield explanation.happened
    yield ""
    yield from socket_lines(record.sockets, record.parameters.server)
    yield ""
    yield from _labelled("counters", _counters(record), width)
    yield from _labelled("why", " ".join(explanation.sentences), width)
    if explanation.rule and explanation.rule.id != "unexplained":
        yield from _labelled("rule", explanation.rule.id, width)
        yield from _labelled("", explanation.rule.rfc, width)
        for reason in reasons(explanation.rule, record.policy, record.circumstances):
            yield from _labelled("", reason, width)
        yield from _labelled("change", _turn(record, explanation), width)
    yield from _labelled("machine", _circumstances(record), width)


def socket_lines(sockets: list[Socket], server: Endpoint) -> Iterator[str]:
    """Yield the four-tuple's sockets as a table; one line that says so where there are none."""
    if not sockets:
        yield "No socket is left on the four-tuple."
        return
    rows = [(row.state, row.local, row.peer, _role(row, server), time_left(row.time_left)) for row in sockets]
    yield from table(("STATE", "LOCAL", "PEER", "ROLE", "TIME LEFT"), rows, right=("TIME LEFT",))


def _role(row: Socket, server: Endpoint) -> str:
    return "server" if row.local == server else "client"


def time_left(left: Duration | None) -> str:
    """Return a mini-socket's time left in seconds; a dash for a socket that has no such timer."""
    return "-" if left is None else f"{left / SECOND:.1f} s"


def _counters(record: Record) -> str:
    shown = [f"{name.split('.')[1]}{_SPACE}+{record.counters[name]}" for name in COUNTERS if record.counters.get(name)]
    whole = "" if record.private else " (counted for the whole machine)"
    return ("  ".join(shown) or "none of the counters that matter here") + whole


def _turn(record: Record, explanation: Explanation) -> str:
    if not explanation.turns:
        return "no single option turns this result around"
    goal = "the next connect succeeds" if record.failure else "the next connect fails"
    if repeats_first_account(record, explanation.rule):
        goal = "EADDRNOTAVAIL, as in the first account,"
    ways = [_unbroken(way) for way in explanation.turns]
    return f"{goal} with {ways[0]}" if len(ways) == 1 else f"{goal} with any one of: {', '.join(ways)}"


def reasons(rule: Rule, policy: Policy, circumstances: dict[str, str]) -> Iterator[str]:
    """Yield where a rule stands: in which functions of the kernel, or in which values of the engine's profile."""
    if "profile" not in circumstances:
        yield f"Linux: {rule.kernel}"
        return
    for name in rule.fields:
        if name in policy.values:
            value, source = policy.values[name]
            yield f"profile {circumstances['profile']}: {name} = {value_text(name, value)} ({source})"


def about(circumstances: dict[str, str]) -> str:
    """Return on what a result was had: the kernel, or the engine's profile and the seed."""
    if circumstances["world"] == "engine":
        return f"engine, profile {circumstances['profile']}, seed {circumstances['seed']}"
    return ", ".join(value for name, value in circumstances.items() if name != "world")


def _circumstances(record: Record) -> str:
    short = {name.removeprefix("net.ipv4."): value for name, value in record.settings.items() if value is not None}
    settings = ", ".join(_unbroken(f"{name} = {' '.join(value.split())}") for name, value in short.items())
    return f"{about(record.circumstances)}: {settings}"


def _labelled(label: str, text: str, width: int) -> Iterator[str]:
    """Yield text wrapped beside a label."""
    yield from _wrapped(label.ljust(_LABEL) + text, width, " " * _LABEL)


def _wrapped(text: str, width: int, indent: str) -> Iterator[str]:
    """Yield the lines of a paragraph; a number and its unit stay together."""
    bound = re.sub(r"(?<=\d) (?=(s|ms|us|ns)\b)", _SPACE, text)
    for line in textwrap.wrap(bound, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False):
        yield line.replace(_SPACE, " ")


def _unbroken(text: str) -> str:
    return text.replace(" ", _SPACE)


# -- the matrix -------------------------------------------------------------------------------------------------------


def matrix_head() -> list[str]:
    """Return the head of the matrix's table."""
    endings = [f"AND {readable(pause)} PAUSE" if pause else f"{closer.upper()} CLOSES" for closer, pause in ENDINGS]
    return ["TIMESTAMPS", "TW_REUSE", "BIND", *endings]


def matrix_lines(found: list[Cell], width: int) -> Iterator[str]:
    """Yield the matrix as a table, each cell with the letter of its rule, and the rules that occur below it."""
    head = matrix_head()
    rows = []
    for line in lines(found):
        asked = line[0].parameters
        cells = [f"{result(cell.decided)} {letter(cell.decided.rule)}" for cell in line]
        rows.append([*row_head(asked), *cells])
    yield from table(head, rows)
    yield ""
    record = found[0].record
    yield about(record.circumstances)
    yield from legend({cell.decided.rule.id for cell in found if cell.decided.rule}, record, width)


def row_head(asked: Parameters) -> list[str]:
    """Return the first columns of a line of the matrix: what it was run with."""
    reuse = "-" if asked.tw_reuse is None else str(asked.tw_reuse)
    return ["on" if asked.timestamps else "off", reuse, asked.binding.value]


def legend(present: set[str], record: Record, width: int) -> Iterator[str]:
    """Yield the rules behind the letters of a matrix."""
    for rule in RULES.values():
        if rule.id in present:
            yield from _wrapped(f"{rule.letter}  {rule.says}.", width, "   ")
            yield from _wrapped(f"   {rule.rfc}.", width, "   ")
            for where in reasons(rule, record.policy, record.circumstances):
                yield from _wrapped(f"   {where}.", width, "   ")


def result(attempt: Attempt) -> str:
    """Return what a connect came to, for a cell."""
    return "ok" if attempt.ok else attempt.error


def letter(rule: Rule | None) -> str:
    """Return the letter of a rule, for a cell."""
    return rule.letter if rule else "-"


# -- data -------------------------------------------------------------------------------------------------------------


def record_data(record: Record, explanation: Explanation) -> dict[str, Any]:
    """Return a run as data for JSON.  Durations are in nanoseconds, as their names say."""
    asked = record.parameters
    return {
        "schema_version": SCHEMA_VERSION,
        "command": "rtest",
        "circumstances": record.circumstances,
        "settings": record.settings,
        "parameters": {
            "port": asked.port,
            "closer": asked.closer.value,
            "count": asked.count,
            "interval_ns": asked.interval,
            "bind": asked.binding.value,
            "peer_close": asked.peer_close.value,
            "payload_bytes": asked.payload,
            "linger0": asked.linger0,
            "ipv6": asked.ipv6,
            "timestamps": asked.timestamps,
            "tw_reuse": asked.tw_reuse,
            "tw_reuse_delay_ms": asked.tw_reuse_delay,
            "rfc1337": asked.rfc1337,
        },
        "connected": record.connected,
        "interrupted": record.interrupted,
        "ok": record.failure is None,
        "attempts": [_attempt_data(attempt) for attempt in record.attempts],
        "sockets": [socket_data(row, _role(row, asked.server)) for row in record.sockets],
        "counters": record.counters,
        "explanation": {
            "happened": explanation.happened,
            "why": explanation.sentences,
            "rule": _rule_data(explanation.rule, record),
            "turns": explanation.turns,
        },
    }


def matrix_data(found: list[Cell]) -> dict[str, Any]:
    """Return the matrix as data for JSON."""
    return {
        "schema_version": SCHEMA_VERSION,
        "command": "rtest --matrix",
        "circumstances": found[0].record.circumstances,
        "cells": [cell_parameters(cell) | cell_result(cell) for cell in found],
        "rules": [_rule_data(rule, found[0].record) for rule in RULES.values()],
    }


def cell_parameters(cell: Cell) -> dict[str, Any]:
    """Return what a cell was run with, as data for JSON."""
    return {
        "timestamps": cell.parameters.timestamps,
        "tw_reuse": cell.parameters.tw_reuse,
        "bind": cell.parameters.binding.value,
        "closer": cell.parameters.closer.value,
        "pause_ns": cell.parameters.interval,
    }


def cell_result(cell: Cell) -> dict[str, Any]:
    """Return what a cell showed, as data for JSON."""
    decided = cell.decided
    return {"ok": decided.ok, "error": decided.error, "rule": decided.rule.id if decided.rule else None}


def _attempt_data(attempt: Attempt) -> dict[str, Any]:
    met = attempt.situation
    return {
        "number": attempt.number,
        "ok": attempt.ok,
        "call": attempt.call,
        "error": attempt.error,
        "took_ns": attempt.took,
        "rule": attempt.rule.id if attempt.rule else None,
        "before": {
            role: {"state": holder.state, "mini": holder.mini, "age_ns": holder.age} if holder else None
            for role, holder in (("client", met.client), ("server", met.server))
        }
        if met
        else None,
    }


def _rule_data(rule: Rule | None, record: Record) -> dict[str, Any] | None:
    if rule is None:
        return None
    data = {"id": rule.id, "allows": rule.allows, "says": rule.says, "rfc": rule.rfc}
    if "profile" not in record.circumstances:
        return data | {"kernel": rule.kernel}
    values = record.policy.values
    return data | {
        "profile": {
            name: {"value": value_text(name, values[name][0]), "source": values[name][1]}
            for name in rule.fields
            if name in values
        }
    }


def socket_data(row: Socket, role: str) -> dict[str, Any]:
    """Return one socket as data for JSON."""
    return {
        "state": row.state,
        "local": str(row.local),
        "peer": str(row.peer),
        "role": role,
        "mini": row.mini,
        "time_left_ns": row.time_left,
    }
