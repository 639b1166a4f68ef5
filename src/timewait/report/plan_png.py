"""The charts of a plan as a PNG picture, by matplotlib; for pages and SVG files none is needed (`chart_svg`)."""

import math
from collections.abc import Sequence
from typing import Any, Final

from timewait.errors import UnavailableError
from timewait.plan import curves
from timewait.plan.forecast import Forecast, Route
from timewait.plan.remedies import Result

_BLUE: Final = "#0a6482"
_RED: Final = "#b0241c"
_BROWN: Final = "#97500a"


def write(path: str, found: Forecast, route: Route, remedies: Sequence[Result]) -> None:
    """Write the three charts of a route.  Raises `UnavailableError` where matplotlib is not installed."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise UnavailableError(
            "PNG pictures need matplotlib, which is not installed",
            "pip install 'timewait[plot]'; or --plot FILE.svg, which needs nothing",
        ) from None
    figure = Figure(figsize=(9, 12), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"{found.workload.title or 'timewait plan'}: {route.name}")
    time, rates, ways = figure.subplots(3, 1)
    _over_time(time, found, route)
    _over_rates(rates, found, route)
    _compared(ways, route, remedies)
    figure.savefig(path, format="png", dpi=110)


def _over_time(axes: Any, found: Forecast, route: Route) -> None:
    ports = curves.tightest(found.workload, route)
    points = curves.occupancy(ports)
    axes.plot([x for x, _ in points], [y for _, y in points], color=_BLUE)
    axes.axhline(ports.ports, color=_RED, linestyle="--", label=f"all of {ports.whose}")
    if ports.first_half is not None:
        axes.axhline(ports.first_half, color=_BROWN, linestyle=":", label="the step")
    axes.set(xlabel="seconds from an empty start", ylabel="in use, were there enough", ylim=(0, None))
    axes.legend()


def _over_rates(axes: Any, found: Forecast, route: Route) -> None:
    points = curves.failing(found.workload, route)
    axes.plot([x for x, _ in points], [y for _, y in points], color=_BLUE)
    axes.axvline(route.requests, color=_BROWN, linestyle=":", label="as planned")
    if points and route.highest <= points[-1].x:
        axes.axvline(route.highest, color=_RED, linestyle="--", label="the most")
    axes.set(xlabel="requests/s", ylabel="share of connects that fail", ylim=(0, None))
    axes.legend()


def _compared(axes: Any, route: Route, remedies: Sequence[Result]) -> None:
    rows = [("as it is", route.highest), *((each.name, each.route.highest) for each in remedies)]
    ends = [value for _, value in rows if math.isfinite(value)] or [route.requests]
    lengths = [value if math.isfinite(value) else max(ends) * 10 for _, value in rows]
    axes.barh([name for name, _ in rows], lengths, color=_BLUE)
    axes.axvline(route.requests, color=_RED, linestyle="--", label="planned")
    axes.set(xscale="log", xlabel="requests/s without a failure")
    axes.invert_yaxis()
    axes.legend()
