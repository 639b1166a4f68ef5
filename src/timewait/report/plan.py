"""A plan as text and as data: the numbers of the design, then remedies side by side."""

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

from timewait.plan.demand import Binding, Closer
from timewait.plan.forecast import Forecast
from timewait.plan.remedies import Design, Result
from timewait.report.columns import grouped

TYPE_CHECKING = False
if TYPE_CHECKING:  # numpy comes with it
    from timewait.plan.simulation import Simulated
    from timewait.plan.statistics import Interval

SCHEMA_VERSION: Final = 1
_LABEL: Final = 10
# Widths of a remedy's numbers.
_COLUMNS: Final = (6, 6, 9, 10, 9)


def lines(
    design: Design,
    found: Forecast,
    remedies: Sequence[Result],
    within: float,
    played: "Simulated | None",
    width: int,
) -> Iterator[str]:
    """Yield the plan: what is asked, the verdict, the numbers, the same as simulated, the remedies."""
    demand, profile = design.demand, design.profile
    yield from textwrap.wrap(
        f"{_number(demand.connects)} connects/s ({demand.arrivals}), {_count(demand.sources, 'source')} to "
        f"{_count(demand.destinations, 'destination')}, the {demand.closer} closes first, {profile.title}",
        width,
    )
    yield ""
    for label, text in (*_rows(design, found, within), *_played(played)):
        yield from textwrap.wrap(
            text, width, initial_indent=f"{label:<{_LABEL}}", subsequent_indent=" " * _LABEL, break_long_words=False
        )
    if not remedies:
        return
    yield ""
    yield from _table(remedies, width)


def _table(remedies: Sequence[Result], width: int) -> Iterator[str]:
    """Yield a line of numbers for each remedy, and below it what it costs and why it is safe, or is not."""
    numbers = ("PORTS", "FAIL", "CARRIES/s", "WAITS HERE", "THERE")
    name = width - sum(_COLUMNS) - len(_COLUMNS)
    yield f"{'REMEDY':<{name}}" + "".join(f" {text:>{size}}" for text, size in zip(numbers, _COLUMNS, strict=True))
    for remedy, found in remedies:
        values = (
            f"{found.share:.1%}",
            _share(found.failing),
            _number(found.highest),
            _number(found.client_waits),
            _number(found.server_waits),
        )
        yield f"{remedy.name:<{name}}" + "".join(
            f" {text:>{size}}" for text, size in zip(values, _COLUMNS, strict=True)
        )
        said = f"{remedy.cost}; {'safe' if remedy.safe else 'not safe'}: {remedy.why}"
        yield from textwrap.wrap(said, width, initial_indent="  ", subsequent_indent="  ")


def _rows(design: Design, found: Forecast, within: float) -> Iterator[tuple[str, str]]:
    demand = design.demand
    yield "verdict", _verdict(demand.rate, found, within)
    whose = "of a source, for all destinations" if demand.binding is Binding.BIND else "of a source and a destination"
    yield "ports", f"{grouped(round(found.used))} of {grouped(found.ports)} in use ({found.share:.1%}), {whose}"
    if found.beyond_half is not None:
        yield (
            "step",
            f"{_share(found.beyond_half)} of the time beyond half the range, where each connect() searches",
        )
    yield "fails", f"{_share(found.failing)} of all connects"
    yield (
        "carries",
        f"{_number(found.nominal)} requests/s nominal; {_number(found.highest)} with no failure in {_time(within)}",
    )
    waits = found.client_waits if demand.closer is Closer.CLIENT else found.server_waits
    memory = found.client_memory if demand.closer is Closer.CLIENT else found.server_memory
    size = "" if memory is None else f", {_octets(memory)} of kernel memory"
    yield "waits", f"{_number(waits)} TIME-WAIT at each {demand.closer}{size}"
    if found.overflow:
        yield "overflow", f"{_share(found.overflow)} of them find the table full (tcp_max_tw_buckets)"
    yield "conntrack", f"{_number(found.conntrack)} entries where one box tracks all of it (120 s each)"
    if found.refused is not None:
        yield "refused", f"{_share(found.refused)} of the SYNs that meet a TIME-WAIT at the server"


def _played(played: "Simulated | None") -> Iterator[tuple[str, str]]:
    if played is None:
        return
    said = f"{_interval(played.failing, 100)} % fail, {_interval(played.used, 1)} ports in use"
    if played.beyond_half is not None:
        said += f", {_interval(played.beyond_half, 100)} % beyond half the range"
    first = "no failure" if played.first_failure is None else f"the first failure after {_time(played.first_failure)}"
    yield "simulated", f"{said}; {first} (95 %, {grouped(played.connects)} connects, seed {played.seed})"


def _interval(interval: "Interval", scale: int) -> str:
    digits = 3 if scale > 1 else 0
    return f"{interval.mean * scale:,.{digits}f} ± {interval.half * scale:,.{digits}f}"


def _verdict(rate: float, found: Forecast, within: float) -> str:
    if found.full_in is not None:
        return f"does not carry it: from an empty start the ports are gone after {_time(found.full_in)}"
    if rate > found.highest:
        return f"no margin: within {_time(within)} some connect is likely to find no port"
    if found.beyond_half:
        return "carries it, but past half the range: connect() costs CPU there; alarm at 50 %"
    return "carries it"


def _count(number: int, noun: str) -> str:
    return f"{grouped(number)} {noun}{'' if number == 1 else 's'}"


def _share(value: float) -> str:
    if not value:
        return "0"
    if value < 0.0005:
        return "<0.1%" if value > 1e-9 else "0"
    return f"{value:.1%}" if value < 0.9995 else "100%"


def _number(value: float) -> str:
    if math.isinf(value):
        return "any"
    return grouped(round(value)) if value >= 100 else f"{value:.3g}"


def _octets(value: float) -> str:
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} GB"


def _time(seconds: float) -> str:
    for name, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.3g} {name}"
    return f"{seconds:.3g} s"


def data(
    design: Design, found: Forecast, remedies: Sequence[Result], within: float, played: "Simulated | None"
) -> dict[str, Any]:
    """Return the plan for JSON; rates are per second, times in seconds, memories in octets, null is no limit."""
    return {
        "schema_version": SCHEMA_VERSION,
        "command": "plan",
        "demand": asdict(design.demand),
        "profile": design.profile.name,
        "within_s": within,
        "forecast": _finite(found),
        "simulated": None if played is None else _simulated(played),
        "remedies": [
            {
                "name": result.remedy.name,
                "cost": result.remedy.cost,
                "safe": result.remedy.safe,
                "why": result.remedy.why,
                "forecast": _finite(result.forecast),
            }
            for result in remedies
        ],
    }


def _simulated(played: "Simulated") -> dict[str, Any]:
    intervals = {"failing": played.failing, "used": played.used, "beyond_half": played.beyond_half}
    plain = {name: None if interval is None else interval._asdict() for name, interval in intervals.items()}
    return {"connects": played.connects, "seed": played.seed, **plain, "first_failure_s": played.first_failure}


def _finite(found: Forecast) -> dict[str, Any]:
    values = asdict(found)
    return {name: None if isinstance(value, float) and math.isinf(value) else value for name, value in values.items()}
