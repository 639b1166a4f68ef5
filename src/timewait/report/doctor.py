"""How an examined host is shown: the screen, one line for a monitoring system, data."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, Final

from timewait.endpoint import written
from timewait.host.budget import Budget, budgets
from timewait.host.closers import destinations, said, total
from timewait.host.finding import Advice, Finding, Severity, figure
from timewait.host.history import forecast, history
from timewait.host.limits import Limits
from timewait.host.look import Look
from timewait.host.port_findings import numbers
from timewait.host.reuse import Reuse
from timewait.host.snapshot import Snapshot, Trace

SCHEMA_VERSION: Final = 1
FIRST: Final = 10  # findings on the first screen
_LABEL: Final = 10
_MOST_SERVICES: Final = 3
_MOST_TRACED: Final = 5
_NOT_REUSED: Final = 0.9  # opens a request: some of them may be kept all the same
_SOURCES: Final = {"trace": "traced", "counters": "counted", "history": "from the last TIME-WAITs"}
_BARS: Final = "▁▂▃▄▅▆▇█"


def screen(
    snapshot: Snapshot, found: list[Finding], width: int, everything: bool = False, reused: Sequence[Reuse] = ()
) -> Iterator[str]:
    """Yield the lines: the worst findings first, then what was looked at."""
    shown = found if everything else found[:FIRST]
    for finding in shown:
        yield from _finding(finding, width)
        yield ""
    if len(shown) < len(found):
        yield f"and {len(found) - len(shown)} more: --all"
        yield ""
    if not any(finding.severity for finding in found):
        fine = f"{'OK':<{_LABEL}}no shortage of ports, and nothing that needs anybody now"
        yield from textwrap.wrap(fine, width, subsequent_indent=" " * _LABEL)
    yield from _looked_at(snapshot, width, FIRST if everything else 1)
    for each in reused:
        yield from wrapped("reuse", _reused(each), width)


def _finding(finding: Finding, width: int) -> Iterator[str]:
    about = ": ".join(filter(None, [finding.subject, finding.headline]))
    head = f"{finding.severity.name:<{_LABEL}}{finding.id}  {about}"
    yield from textwrap.wrap(
        head, width, subsequent_indent=" " * _LABEL, break_long_words=False, break_on_hyphens=False
    )
    for label, sentence in finding.evidence:
        yield from wrapped(label, sentence, width)
        if label == "rate" and any(finding.seconds):
            ago = f" {len(finding.seconds)} s"
            yield " " * _LABEL + sparkline(finding.seconds, width - _LABEL - len(ago)) + ago
    if finding.ruled_out:
        yield from wrapped("not", ", ".join(finding.ruled_out), width)
    for number, step in enumerate(finding.advice, 1):
        yield from _advice(number, step, width)


def _advice(number: int, step: Advice, width: int) -> Iterator[str]:
    yield from wrapped("do" if number == 1 else "", f"{number} {step.do}", width, hanging=2)
    about = [f"cost: {step.cost}"] if step.cost else []
    about += [f"scope: {step.scope}"] if step.scope else []
    if about:
        yield from wrapped("", "; ".join(about), width, indent=_LABEL + 2)
    for line in filter(None, [step.command, step.undo and f"undo: {step.undo}"]):
        yield " " * (_LABEL + 2) + line  # never broken: it is there to be copied


def wrapped(label: str, text: str, width: int, *, indent: int = _LABEL, hanging: int = 0) -> Iterator[str]:
    """Yield a sentence in lines of this width, its label before the first."""
    first = f"  {label}".ljust(indent) if label else " " * indent
    yield from textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=" " * (indent + hanging),
        break_long_words=False,
        break_on_hyphens=False,
    )


def sparkline(seconds: tuple[float, ...], room: int) -> str:
    """Return closes per second as bars, the oldest second first; several seconds in one where room is short."""
    each = -(-len(seconds) // max(1, room))
    means = [sum(seconds[at : at + each]) / len(seconds[at : at + each]) for at in range(0, len(seconds), each)]
    top = max(means)
    return "".join(_BARS[min(7, int(8 * value / top))] if top else _BARS[0] for value in reversed(means))


def _looked_at(snapshot: Snapshot, width: int, destinations_shown: int) -> Iterator[str]:
    look = Look(snapshot, Limits())
    clients, servers = look.count("TIME-WAIT", "client"), look.count("TIME-WAIT", "server")
    where = f", namespace {snapshot.namespace}" if snapshot.namespace else ""
    yield from wrapped(
        "host",
        f"Linux {snapshot.kernel}{where}: {clients + servers:,} in TIME-WAIT ({clients:,} client, {servers:,} server), "
        f"{look.count('ESTABLISHED'):,} ESTABLISHED, {len(snapshot.listeners):,} listening",
        width,
    )
    for number, budget in enumerate(look.budgets[:destinations_shown]):
        used = f"{budget.used - budget.reusable:,} of {budget.size:,} ports ({budget.share:.1%})"
        used += f"; {budget.reusable:,} more are free to be taken over" if budget.reusable else ""
        yield from wrapped("" if number else "fullest", f"{budget.name}  {used}", width)
    first = [service for service in look.services if service.time_wait]
    if first:
        listed = ", ".join(f"{written(at.address, at.port)} ({at.time_wait:,})" for at in first[:_MOST_SERVICES])
        more = f" and {len(first) - _MOST_SERVICES} more" if len(first) > _MOST_SERVICES else ""
        yield from wrapped("closes", f"first, of the services here: {listed}{more}", width)
    if snapshot.interval_s:
        yield from wrapped("moved", _moved(snapshot), width)
    if snapshot.trace:
        yield from _traced(snapshot.trace, width)
    for text in snapshot.missing:
        yield from wrapped("missing", text, width)


def _moved(snapshot: Snapshot) -> str:
    """Return what was opened, accepted, closed and taken over within the interval, per second."""
    names = {
        "Tcp.ActiveOpens": "opened",
        "Tcp.PassiveOpens": "accepted",
        "TcpExt.TW": "entered TIME-WAIT",
        "TcpExt.TWRecycled": "taken over by connect()",
    }
    rates = (f"{figure(snapshot.moved.get(key, 0) / snapshot.interval_s)} {name}" for key, name in names.items())
    return f"per second, over {snapshot.interval_s:.3g} s: {', '.join(rates)}"


def _reused(reuse: Reuse) -> str:
    to = written(*reuse.to) if reuse.to else "all destinations"
    least = "at least " if reuse.source == "history" else ""
    text = f"{to}: {least}{figure(reuse.opens_per_s)} opens/s ({_SOURCES[reuse.source]}) for "
    text += f"{figure(reuse.requests_per_s)} requests/s"
    if not reuse.opens_per_s:
        return text + (": they are kept, or the other end closes them first" if least else ": connections are kept")
    text += f", {figure(reuse.opens_per_request)} for each: "
    if reuse.opens_per_request >= _NOT_REUSED:
        return text + "connections are not used again"
    return text + f"a connection carries {'at most ' if least else ''}{figure(1 / reuse.opens_per_request)} of them"


def _traced(trace: Trace, width: int) -> Iterator[str]:
    """Yield who closed what first while it was traced, the busiest destinations and services."""
    every = destinations(trace)
    first = sum(closer.first for closer in trace.closers)
    text = f"{sum(map(total, every)):,} closes here in {figure(trace.seconds)} s, {first:,} of them first"
    if trace.elsewhere:
        text += f"; {trace.elsewhere:,} in other namespaces"
    if trace.unplaced:
        text += f"; {trace.unplaced:,} of unknown processes"
    if trace.lost:
        text += f"; {trace.lost:,} records lost, the kernel's buffer was full"
    yield from wrapped("traced", text, width)
    for those in every[:_MOST_TRACED]:
        at = those[0]
        where = written(at.address, at.port)
        what = f"service {where}" if at.role == "server" else f"{at.local} -> {where}"
        yield from wrapped("", f"{what}: {said(those)}", width, hanging=2)
    if len(every) > _MOST_TRACED:
        yield from wrapped("", f"and {len(every) - _MOST_TRACED} more: --json", width)


# -- one line ---------------------------------------------------------------------------------------------------------


def check_line(snapshot: Snapshot, found: list[Finding], limits: Limits) -> str:
    """Return the line of a monitoring plugin: state, the worst finding, performance data behind a bar.

    https://www.monitoring-plugins.org/doc/guidelines.html: 'label'=value[unit];warn;crit;min;max.
    """
    state = "OK" if not found or not found[0].severity else found[0].severity.name
    worst = [finding for finding in found if finding.severity]
    text = "no finding"
    if worst:
        text = " ".join(filter(None, [worst[0].id, worst[0].subject])) + f": {worst[0].headline}"
        text += f" (and {len(worst) - 1} more)" if len(worst) > 1 else ""
    every = budgets(snapshot)
    share = 100 * every[0].share if every else 0.0
    look = Look(snapshot, limits)
    most = snapshot.number("net.ipv4.tcp_max_tw_buckets")
    data = [
        f"fullest={share:.1f}%;{100 * limits.ports_step:g};{100 * limits.ports_nearly_gone:g};0;100",
        f"time_wait={look.count('TIME-WAIT')};;;0;{'' if most is None else most}",
        f"closes_per_s={look.history.now:.1f};;;0",
    ]
    return f"TIMEWAIT {state} - {text.replace('|', '/')} | {' '.join(data)}"


# -- data -------------------------------------------------------------------------------------------------------------


def data(snapshot: Snapshot, found: list[Finding], reused: Sequence[Reuse] = ()) -> dict[str, Any]:
    """Return everything as data for JSON."""
    return {
        "schema_version": SCHEMA_VERSION,
        "command": "doctor",
        **content(snapshot, found),
        "reuse": [_reuse_data(each) for each in reused],
    }


def _reuse_data(reuse: Reuse) -> dict[str, Any]:
    return {
        "address": reuse.to.address if reuse.to else None,
        "port": reuse.to.port if reuse.to else None,
        "requests_per_s": reuse.requests_per_s,
        "opens_per_s": round(reuse.opens_per_s, 3),
        "opens_per_request": round(reuse.opens_per_request, 4),
        "source": reuse.source,
    }


def content(snapshot: Snapshot, found: list[Finding]) -> dict[str, Any]:
    """Return the same without the head of a document, to stand in a list."""
    look = Look(snapshot, Limits())
    return {
        "severity": max((finding.severity for finding in found), default=Severity.NOTE).name if found else "OK",
        "host": {
            "kernel": snapshot.kernel,
            "hz": snapshot.hz,
            "namespace": snapshot.namespace or None,
            "taken_ns": snapshot.taken_ns,
            "uptime_s": snapshot.uptime_s,
            "time_wait": {role: look.count("TIME-WAIT", role) for role in ("client", "server")},
            "interval_s": snapshot.interval_s,
            "moved": snapshot.moved,
            "missing": list(snapshot.missing),
        },
        "trace": snapshot.trace and _trace_data(snapshot.trace),
        "findings": [_finding_data(finding) for finding in found],
        "services": [service._asdict() for service in look.services],
        "destinations": [_destination_data(snapshot, budget) for budget in look.budgets],
    }


def _destination_data(snapshot: Snapshot, budget: Budget) -> dict[str, Any]:
    past = history(budget.waits, snapshot.span_ms, snapshot.hz)
    return numbers(budget, past, forecast(budget, past.now))


def _trace_data(trace: Trace) -> dict[str, Any]:
    return {**trace._asdict(), "closers": [closer._asdict() for closer in trace.closers]}


def _finding_data(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.id,
        "severity": finding.severity.name,
        "subject": finding.subject or None,
        "headline": finding.headline,
        "evidence": [{"label": label, "text": text} for label, text in finding.evidence],
        "ruled_out": list(finding.ruled_out),
        "advice": [step._asdict() for step in finding.advice],
        "numbers": finding.numbers,
    }
