"""A plan as data: JSON of all that is known, and rows of numbers for a spreadsheet."""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from timewait.plan.assumptions import assumptions
from timewait.plan.forecast import Box, Forecast, Route
from timewait.plan.remedies import Result
from timewait.plan.usage import Usage

TYPE_CHECKING = False
if TYPE_CHECKING:  # numpy comes with it
    from timewait.plan.simulation import Simulated

SCHEMA_VERSION: Final = 2


def data(
    found: Forecast, remedies: Mapping[str, Sequence[Result]], simulated: "Mapping[str, Simulated]"
) -> dict[str, Any]:
    """Return the plan for JSON; rates are per second, times in seconds, memories in octets, null is no limit.

    `remedies`, `simulated`: by the route's name.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "command": "plan",
        "title": found.workload.title,
        "within_s": found.workload.within,
        "carries": found.carries,
        "growth": {"monthly": found.workload.growth, "lasts_months": found.lasts},
        "routes": [
            {
                "source": route.source.name,
                "destination": route.destination.name,
                "carries": route.carries,
                **numbers(route),
                "simulated": _simulated(simulated[route.name]) if route.name in simulated else None,
                "remedies": [_remedy(each) for each in remedies.get(route.name, ())],
            }
            for route in found.routes
        ],
        "middleboxes": [_box(box) for box in found.boxes],
        "assumptions": list(assumptions(found)),
        "workload": _plain(asdict(found.workload)),
    }


def numbers(route: Route) -> dict[str, Any]:
    """Return all numbers of a route by name."""
    own = route.own
    return {
        "requests": _finite(route.requests),
        "connects": _finite(route.connects),
        "ports": own.ports.ports,
        "first_half": own.ports.first_half,
        "sets": own.ports.count,
        "used": own.used,
        "used_most": own.most,
        "share": own.share,
        "beyond_half": own.beyond_half,
        "failing": route.failing,
        "failing_ports": own.failing,
        "nominal": _finite(route.nominal),
        "highest": _finite(route.highest),
        "full_in_s": route.full_in,
        "client_waits": route.client_waits,
        "server_waits": route.server_waits,
        "client_memory": route.client_memory,
        "server_memory": route.server_memory,
        "client_overflow": route.client_overflow,
        "server_overflow": route.server_overflow,
        "conntrack": route.conntrack,
        "refused": route.refused,
    }


def csv_lines(found: Forecast, remedies: Mapping[str, Sequence[Result]]) -> Iterator[str]:
    """Yield a head and a row for each route as it is, and for each remedy of it."""
    names = list(numbers(found.routes[0]))
    yield _row(["route", "remedy", "safe", *names])
    for route in found.routes:
        yield _row([route.name, "", "", *numbers(route).values()])
        for each in remedies.get(route.name, ()):
            yield _row([route.name, each.key, str(each.judgement.safe).lower(), *numbers(each.route).values()])


def _row(values: Sequence[Any]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(["" if value is None else value for value in values])
    return out.getvalue()


def _remedy(result: Result) -> dict[str, Any]:
    return {
        "key": result.key,
        "name": result.name,
        "cost": result.cost,
        "safe": result.judgement.safe,
        "why": result.judgement.why,
        "carries": result.route.carries,
        **numbers(result.route),
    }


def _box(box: Box) -> dict[str, Any]:
    return {
        "name": box.box.name,
        "table": None if box.table is None else _usage(box.table),
        "ports": [{"destination": each.ports.towards, **_usage(each)} for each in box.ports],
    }


def _usage(usage: Usage) -> dict[str, Any]:
    return {"size": usage.ports.ports, "used": usage.used, "used_most": usage.most, "failing": usage.failing}


def _simulated(played: "Simulated") -> dict[str, Any]:
    intervals = {"failing": played.failing, "used": played.used, "beyond_half": played.beyond_half}
    intervals |= {"open": played.open, "waiting": played.waiting, "met": played.met}
    plain = {name: None if interval is None else interval._asdict() for name, interval in intervals.items()}
    return {
        "connects": played.connects,
        "settling": played.settling,
        "seed": played.seed,
        **plain,
        "first_failure_s": played.first_failure,
        "correlated": played.correlated,
    }


def _finite(value: float) -> float | None:
    return None if math.isinf(value) else value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
