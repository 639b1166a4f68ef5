"""A plan as a page: what is asked, the verdict, every number of each route, pictures, ways out, what is assumed."""

import shlex
from collections.abc import Mapping, Sequence

from timewait.plan import curves, workload_file
from timewait.plan.assumptions import assumptions
from timewait.plan.forecast import Forecast, Route
from timewait.plan.occupancy import Course
from timewait.plan.remedies import Result
from timewait.report import chart_svg
from timewait.report.chart_svg import Bar, Mark
from timewait.report.html import (
    Markup,
    Section,
    badge,
    bullets,
    element,
    facts,
    figure,
    folded,
    join,
    page,
    paragraphs,
    table,
)
from timewait.report.plan import asked, boxes, months, number, octets, rows, share, time, verdict

_HEADS = (
    "Ports",
    "Step",
    "Fails",
    "Carries/s",
    "Waits here",
    "Memory",
    "Waits there",
    "Memory",
    "Conntrack",
    "Refused",
)


_SPANS = (("days", 86400), ("hours", 3600), ("minutes", 60), ("seconds", 1))
_CAPTIONS = (
    "In use over time, of the set of ports (or the table) that has the least to spare on the way.",
    "How many connects fail at other rates, all flows grown alike.",
    "Requests a second without a failure, with each remedy; each step to the right is a multiple.",
)


def plan_page(found: Forecast, remedies: Mapping[str, Sequence[Result]], command: Sequence[str]) -> str:
    """Return the page.  `remedies`: by the route's name; `command`: what shows it again."""
    sections = [Section("Routes", _overview(found))] if len(found.routes) > 1 else []
    for at, route in enumerate(sorted(found.routes, key=lambda each: each.highest / each.requests)):
        sections.append(Section(route.name, _route(found, route, remedies[route.name], f"route-{at + 1}")))
    if found.boxes:
        sections.append(Section("On the way", bullets(text for _, text in boxes(found))))
    sections.append(Section("What is assumed", bullets(assumptions(found))))
    file = element("pre", element("code", workload_file.write(found.workload)))
    again = element("pre", element("code", shlex.join(command)))
    sections.append(Section("The workload", join((file, paragraphs("To see it again:"), again))))
    title = found.workload.title or found.routes[0].name
    return page(title, sections, lead=_verdict(found), kicker="timewait plan", style=chart_svg.STYLE)


def drawings(found: Forecast, route: Route, remedies: Sequence[Result], name: str) -> list[Markup]:
    """Return the three charts of a route.  `name`: no other of the page's."""
    return [
        _over_time(found, route, f"{name}-time"),
        _over_rates(found, route, f"{name}-rate"),
        _compared(route, remedies, f"{name}-ways"),
    ]


def _verdict(found: Forecast) -> Markup:
    bad = [route for route in found.routes if not route.carries]
    worst = found.worst
    if bad:
        sign = badge("bad", "✗", "does not carry it" if worst.full_in or worst.failing > 1e-3 else "no margin")
    elif any(route.own.beyond_half for route in found.routes):
        sign = badge("warn", "!", "past half the range")
    else:
        sign = badge("good", "✓", "carries it")
    said = f" {worst.name}: {verdict(found, worst)}."
    growth = found.workload.growth
    more = None
    if growth and found.lasts:
        more = element(
            "p", f"Growing by {growth:.1%} a month, the first connect is likely to fail in {months(found.lasts)}."
        )
    return join((element("p", sign, said, class_="lead"), more))


def _overview(found: Forecast) -> Markup:
    lines = [(element("span", route.name, class_="word"), *_values(route)) for route in found.routes]
    return table(
        "Means once it has settled; waits and memory of one host",
        ("Route", *_HEADS),
        lines,
        right=range(1, 11),
        marked=[not route.carries for route in found.routes],
    )


def _values(route: Route) -> tuple[str, ...]:
    return (
        f"{route.own.share:.1%}",
        "-" if route.own.beyond_half is None else share(route.own.beyond_half),
        share(route.failing),
        number(route.highest),
        number(route.client_waits),
        "-" if route.client_memory is None else octets(route.client_memory),
        number(route.server_waits),
        "-" if route.server_memory is None else octets(route.server_memory),
        number(route.conntrack),
        share(route.refused),
    )


def _route(found: Forecast, route: Route, remedies: Sequence[Result], name: str) -> Markup:
    charts = zip(drawings(found, route, remedies, name), _CAPTIONS, strict=True)
    pictures = (figure(chart, caption) for chart, caption in charts)
    return join(
        (paragraphs(asked(found, route) + "."), facts(rows(found, route)), *pictures, _remedies(route, remedies))
    )


def _remedies(route: Route, remedies: Sequence[Result]) -> Markup:
    lines = [("as it is", *_values(route)), *((each.name, *_values(each.route)) for each in remedies)]
    numbers = table("Each remedy by itself", ("Remedy", *_HEADS), lines, right=range(1, 11))
    reasons = table(
        "What each costs, and whether it is safe with these stacks",
        ("Remedy", "Cost", "Safe", "Why"),
        [
            (
                each.name,
                each.cost,
                badge("good", "✓", "safe") if each.judgement.safe else badge("warn", "!", "not safe"),
                each.judgement.why,
            )
            for each in remedies
        ],
    )
    return join((numbers, folded("Costs and reasons", reasons, opened=True)))


def _over_time(found: Forecast, route: Route, name: str) -> Markup:
    ports = curves.tightest(found.workload, route)
    points = curves.occupancy(ports)
    unit, size = next((unit, size) for unit, size in _SPANS if points[-1].x >= 3 * size or size == 1)
    marks = [Mark(float(ports.ports), f"all {ports.ports:,} of {ports.whose}")]
    if ports.first_half is not None:
        marks.append(Mark(float(ports.first_half), "the step: half of them", "step"))
    full = Course(ports).full_in(ports.ports)
    if full is not None:
        marks.append(Mark(full / size, f"full after {time(full)}", "mark", upright=True))
    return chart_svg.line(
        name,
        f"{route.name}: ports in use",
        f"From an empty start; it comes to {number(points[-1].y)} ports of {ports.whose}, of {ports.ports:,}.",
        [(x / size, y) for x, y in points],
        across=(f"{unit} from an empty start", lambda value: f"{value:g}"),
        up=("in use, were there enough", lambda value: f"{value:,.0f}"),
        marks=marks,
    )


def _over_rates(found: Forecast, route: Route, name: str) -> Markup:
    points = curves.failing(found.workload, route)
    marks = [Mark(route.requests, "as planned", "step", upright=True)]
    if route.highest:
        marks.append(Mark(route.highest, f"{number(route.highest)}/s: the most", "mark", upright=True))
    return chart_svg.line(
        name,
        f"{route.name}: connects that fail",
        f"At other rates; {share(route.failing)} as planned.",
        points,
        across=("requests/s", lambda value: number(value) if value else "0"),
        up=("share of connects that fail", lambda value: f"{value:.3g}" if value < 0.01 else f"{value:.0%}"),
        marks=marks,
    )


def _compared(route: Route, remedies: Sequence[Result], name: str) -> Markup:
    def bar(label: str, result: Route, kind: str = "bar") -> Bar:
        return Bar(
            label, None if result.highest == float("inf") else result.highest, f"{number(result.highest)}/s", kind
        )

    lines = [bar("as it is", route)]
    lines += [bar(each.name, each.route, "bar" if each.judgement.safe else "unsafe") for each in remedies]
    return chart_svg.bars(
        name,
        f"{route.name}: requests a second without a failure, with each remedy",
        "Lengths are logarithms.",
        lines,
        mark=Mark(route.requests, "planned", "mark"),
    )


def chart_file(found: Forecast, route: Route, remedies: Sequence[Result]) -> str:
    """Return one SVG file with the three charts."""
    return chart_svg.stacked(
        f"{found.workload.title or 'timewait plan'}: {route.name}", drawings(found, route, remedies, "plan")
    )
