"""A plan as lines for people: what is asked, the verdict, the numbers of each route, the remedies side by side."""

import math
import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from timewait.plan.forecast import Box, Forecast, Route
from timewait.plan.remedies import Result
from timewait.report.columns import grouped
from timewait.report.values import share_between

TYPE_CHECKING = False
if TYPE_CHECKING:  # numpy comes with it
    from timewait.plan.simulation import Simulated

_LABEL: Final = 10
# Widths of a route's or remedy's numbers.
_COLUMNS: Final = (6, 6, 6, 9, 9, 9)
_HEADS: Final = ("PORTS", "STEP", "FAIL", "CARRIES/s", "HERE", "THERE")


def head(found: Forecast, width: int) -> Iterator[str]:
    """Yield the title, and all routes where there are several."""
    if found.workload.title:
        yield from textwrap.wrap(found.workload.title, width)
        yield ""
    if len(found.routes) > 1:
        yield from _routes(found, width)
        yield ""


def lines(
    found: Forecast, route: Route, remedies: Sequence[Result], played: "Simulated | None", width: int
) -> Iterator[str]:
    """Yield one route: what is asked, all of its numbers, the ways out of it."""
    yield from textwrap.wrap(asked(found, route), width)
    yield ""
    for label, text in (*rows(found, route), *_played(played), *boxes(found), *_growth(found)):
        yield from textwrap.wrap(
            text, width, initial_indent=f"{label:<{_LABEL}}", subsequent_indent=" " * _LABEL, break_long_words=False
        )
    if remedies:
        yield ""
        yield from _remedies(remedies, width)


def asked(found: Forecast, route: Route) -> str:
    """Return what is asked of a route, in a sentence."""
    flows = [
        f for f in found.workload.flows if (f.source, f.destination) == (route.source.name, route.destination.name)
    ]
    kinds = " and ".join(dict.fromkeys(flow.arrivals.value for flow in flows))
    changing = ", changing" if any(flow.shape for flow in flows) else ""
    closes = route.destination.client_closes
    closer = {1.0: "the client closes first", 0.0: "the server closes first"}.get(
        closes, f"the client closes first in {closes:.0%}"
    )
    pairs = route.destination.pairs
    made = "" if math.isclose(route.requests, route.connects) else f"{number(route.requests)} requests/s, "
    stacks = dict.fromkeys((route.source.profile, route.destination.profile))
    return (
        f"{route.name}: {made}{number(route.connects)} connects/s ({kinds}{changing}) from "
        f"{_count(route.source.hosts, 'host')} with {_count(route.source.addresses, 'address', 'es')} to "
        f"{_count(pairs, 'pair')} of address and port; {closer}; {', '.join(stacks)}"
    )


def rows(found: Forecast, route: Route) -> Iterator[tuple[str, str]]:
    """Yield (label, what there is to say) of a route."""
    own, within = route.own, found.workload.within
    yield "verdict", verdict(found, route)
    whose = "an address and a pair" if own.ports.towards else "an address, whatever the destination"
    most = f", at most {grouped(round(own.most))}" if own.most > own.used * 1.01 else ""
    yield (
        "ports",
        f"{grouped(round(own.used))} of {grouped(own.ports.ports)} in use ({own.share:.1%}{most}), for {whose}",
    )
    if own.beyond_half is not None:
        yield (
            "step",
            f"{share(own.beyond_half)} of the time beyond half the range, where each connect() searches",
        )
    yield (
        "fails",
        f"{share(route.failing)} of all connects"
        + (f"; by want of the source's ports {share(own.failing)}" if route.failing - own.failing > 1e-9 else ""),
    )
    highest = f"{number(route.highest)} requests/s with no failure in {time(within)}"
    yield "carries", f"{number(route.nominal)} connects/s nominal; {highest}"
    for side, waits, memory, overflow in (
        ("client", route.client_waits, route.client_memory, route.client_overflow),
        ("server", route.server_waits, route.server_memory, route.server_overflow),
    ):
        if waits:
            size = "" if memory is None else f", {octets(memory)} of kernel memory"
            yield "waits", f"{number(waits)} TIME-WAIT at each {side}{size}"
        if overflow:
            yield "overflow", f"{share(overflow)} of a {side}'s waits find its table full (tcp_max_tw_buckets)"
    yield "conntrack", f"{number(route.conntrack)} entries where one box tracks all of it (120 s each)"
    if route.destination.client_closes < 1:
        yield "refused", f"{share(route.refused)} of all SYNs, by a TIME-WAIT at the server"


def boxes(found: Forecast) -> Iterator[tuple[str, str]]:
    """Yield (label, what there is to say) of the middleboxes."""
    for box in found.boxes:
        yield "box", _box(box)


def _box(box: Box) -> str:
    said = [box.box.name]
    if box.table is not None:
        entries = f"{number(box.table.most)} of {grouped(box.table.ports.ports)} entries"
        said.append(f"{entries}, {share(box.table.failing)} find it full")
    for each in box.ports:
        said.append(
            f"towards {each.ports.towards} {grouped(round(each.most))} of {grouped(each.ports.ports)} ports of an "
            f"address in use, {share(each.failing)} find none"
        )
    return "; ".join(said)


def _growth(found: Forecast) -> Iterator[tuple[str, str]]:
    growth = found.workload.growth
    if not growth:
        return
    said = f"at {growth:+.1%} a month "
    if found.lasts is None:
        yield "growth", said + "it goes on carrying"
    elif not found.lasts:
        yield "growth", said + "nothing changes: it is too much already"
    else:
        yield "growth", said + f"the first connect is likely to fail in {months(found.lasts)}"


def months(value: float) -> str:
    """Return a number of months in words."""
    if value >= 24:
        return f"{value / 12:.1f} years"
    return f"{value:.1f} months" if value >= 1 else f"{value * 30.44:.0f} days"


def _routes(found: Forecast, width: int) -> Iterator[str]:
    yield _head("ROUTE", width)
    for route in sorted(found.routes, key=lambda each: each.highest / each.requests):
        yield from _line(route.name, route, width)


def _head(label: str, width: int) -> str:
    name = width - sum(_COLUMNS) - len(_COLUMNS)
    return f"{label:<{name}}" + "".join(f" {text:>{size}}" for text, size in zip(_HEADS, _COLUMNS, strict=True))


def _line(label: str, route: Route, width: int) -> Iterator[str]:
    name = width - sum(_COLUMNS) - len(_COLUMNS)
    values = (
        f"{route.own.share:.1%}",
        "-" if route.own.beyond_half is None else share(route.own.beyond_half),
        share(route.failing),
        number(route.highest),
        number(route.client_waits),
        number(route.server_waits),
    )
    if len(label) > name:
        yield label
        label = ""
    yield f"{label:<{name}}" + "".join(f" {text:>{size}}" for text, size in zip(values, _COLUMNS, strict=True))


def _remedies(remedies: Sequence[Result], width: int) -> Iterator[str]:
    """Yield a line of numbers for each remedy, and below it what it costs and why it is safe, or is not."""
    yield _head("REMEDY", width)
    for each in remedies:
        yield from _line(each.name, each.route, width)
        said = f"{each.cost}; {'safe' if each.judgement.safe else 'not safe'}: {each.judgement.why}"
        yield from textwrap.wrap(said, width, initial_indent="  ", subsequent_indent="  ")


def _played(played: "Simulated | None") -> Iterator[tuple[str, str]]:
    if played is None:
        return
    used = played.used
    said = (
        f"{share_between(*played.failing)} fail, {grouped(round(used.mean))} ± {grouped(round(used.half))} ports in use"
    )
    if played.beyond_half is not None:
        said += f", {share_between(*played.beyond_half)} beyond half the range"
    first = "no failure" if played.first_failure is None else f"the first failure after {time(played.first_failure)}"
    yield "simulated", f"{said}; {first} (95 %, {grouped(played.connects)} connects, seed {played.seed})"
    if played.correlated:
        yield "", "its intervals are too narrow: connections last as long as a batch; more connects would mend that"


def verdict(found: Forecast, route: Route) -> str:
    """Return in a sentence whether a route is carried."""
    within = time(found.workload.within)
    if route.full_in is not None:
        return f"does not carry it: from an empty start the ports are gone after {time(route.full_in)}"
    if not route.carries:
        if route.failing > 2 * route.own.failing:
            return f"does not carry it: a box on the way fails {share(route.failing)} of the connects"
        return f"no margin: within {within} some connect is likely to find no port"
    if route.own.beyond_half:
        return "carries it, but past half the range: connect() costs CPU there; alarm at 50 %"
    return "carries it"


def _count(count: int, noun: str, plural: str = "s") -> str:
    return f"{grouped(count)} {noun}{'' if count == 1 else plural}"


def share(value: float) -> str:
    """Return a share in percent, no wider than six characters."""
    if not value:
        return "0"
    if value < 0.0005:
        return "<0.1%" if value > 1e-9 else "0"
    return f"{value:.1%}" if value < 0.9995 else "100%"


def number(value: float) -> str:
    """Return a number with three digits, or whole with its thousands apart; "any" where there is no limit."""
    if math.isinf(value):
        return "any"
    if value < 0.005:
        return "0"
    if value >= 1e7:
        return f"{value / 1e6:,.0f}M"
    return grouped(round(value)) if value >= 100 else f"{value:.3g}"


def octets(value: float) -> str:
    """Return a size with its unit."""
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} GB"


def time(seconds: float) -> str:
    """Return a duration with its unit."""
    for name, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.3g} {name}"
    return f"{seconds:.3g} s"
