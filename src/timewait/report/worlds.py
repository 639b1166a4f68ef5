"""The founding experiment in the kernel and in the engine, side by side, with a mark where they differ."""

import textwrap
from collections.abc import Iterator
from typing import Any

from timewait.lab.catalog.reconnect import Attempt, Record
from timewait.lab.comparison import Pair, spans
from timewait.lab.explanation import COUNTERS, Explanation
from timewait.lab.matrix import ENDINGS
from timewait.report.columns import table
from timewait.report.reconnect import (
    SCHEMA_VERSION,
    about,
    cell_parameters,
    cell_result,
    legend,
    letter,
    matrix_head,
    record_data,
    result,
    row_head,
    socket_lines,
)

_DIFFERS = "DIFFERS"


def matrix_lines(found: list[Pair], width: int) -> Iterator[str]:
    """Yield the matrix, each cell once where both worlds agree, else both answers, marked."""
    rows = []
    for at in range(0, len(found), len(ENDINGS)):
        line = found[at : at + len(ENDINGS)]
        rows.append([*row_head(line[0].kernel.parameters), *(_cell(pair) for pair in line)])
    yield from table(matrix_head(), rows)
    yield ""
    agreeing = sum(pair.agrees for pair in found)
    yield f"{agreeing} of {len(found)} cells agree" + ("" if agreeing == len(found) else f"; the others: {_DIFFERS}")
    kernel, engine = found[0].kernel.record, found[0].engine.record
    yield f"kernel:  {about(kernel.circumstances)}"
    yield f"engine:  {about(engine.circumstances).removeprefix('engine, ')}"
    present = {cell.decided.rule.id for pair in found for cell in pair if cell.decided.rule}
    yield from legend(present, kernel, width)


def _cell(pair: Pair) -> str:
    kernel, engine = (f"{result(cell.decided)} {letter(cell.decided.rule)}" for cell in pair)
    if pair.agrees:
        return kernel
    return f"{_DIFFERS}: kernel {kernel}, engine {engine}"


def summary(kernel: Record, engine: Record, why: tuple[Explanation, Explanation], width: int) -> Iterator[str]:
    """Yield two runs of the same experiment side by side; `why`: the explanations of the kernel's and the engine's."""
    found = list(spans(kernel, engine))
    rows = [
        (
            str(span.first) if span.first == span.last else f"{span.first}-{span.last}",
            _answer(span.kernel),
            _answer(span.engine),
            "" if span.agrees else _DIFFERS,
        )
        for span in found
    ]
    yield from table(("CONNECT", "KERNEL", "ENGINE", ""), rows)
    for name, record in (("kernel", kernel), ("engine", engine)):
        yield ""
        yield f"{name}: {about(record.circumstances).removeprefix('engine, ')}"
        yield from socket_lines(record.sockets, record.parameters.server)
    yield ""
    counted = [name for name in COUNTERS if kernel.counters.get(name) or engine.counters.get(name)]
    if counted:
        moved = [(name, kernel.counters.get(name, 0), engine.counters.get(name, 0)) for name in counted]
        yield from table(("COUNTER", "KERNEL", "ENGINE"), moved, right=("KERNEL", "ENGINE"))
        yield ""
    agree = all(span.agrees for span in found)
    yield "Both worlds agree on every connect." if agree else "The worlds differ: the engine, or a rule, is wrong."
    for name, explanation in zip(("kernel", "engine"), why, strict=True):
        if explanation.rule is not None and (name == "kernel" or not agree):
            text = f"{name}: {explanation.rule.says} ({explanation.rule.id})."
            yield from textwrap.wrap(text, width, subsequent_indent="  ")


def _answer(attempt: Attempt | None) -> str:
    if attempt is None:
        return "-"
    return f"{result(attempt)} {letter(attempt.rule)}".removesuffix(" -")


def matrix_data(found: list[Pair]) -> dict[str, Any]:
    """Return the matrix of both worlds as data for JSON."""
    return {
        "schema_version": SCHEMA_VERSION,
        "command": "rtest --matrix --world both",
        "circumstances": [cell.record.circumstances for cell in found[0]],
        "agree": sum(pair.agrees for pair in found),
        "cells": [
            cell_parameters(pair.kernel)
            | {"agrees": pair.agrees, "kernel": cell_result(pair.kernel), "engine": cell_result(pair.engine)}
            for pair in found
        ],
    }


def record_pair_data(kernel: Record, engine: Record, explanations: tuple[Explanation, Explanation]) -> dict[str, Any]:
    """Return two runs of the same experiment as data for JSON."""
    return {
        "schema_version": SCHEMA_VERSION,
        "command": "rtest --world both",
        "agrees": all(span.agrees for span in spans(kernel, engine)),
        "kernel": record_data(kernel, explanations[0]),
        "engine": record_data(engine, explanations[1]),
    }
