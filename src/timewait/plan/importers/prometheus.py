"""Prometheus: what is scraped how often.  Targets that are discovered are not in the file, and listed."""

from collections.abc import Iterator
from typing import Any, Final

from timewait.errors import UnavailableError, UsageError
from timewait.plan.demand import Arrivals
from timewait.plan.importers.imported import Asked, Imported, Target, Unused, destination, endpoint, seconds
from timewait.plan.workload import Flow, Holding, Pool, Source, Workload

# Defaults of the configuration's documentation, and of its HTTP client (prometheus/common: five minutes idle).
_INTERVAL: Final = 60.0
_IDLE: Final = 300.0
_HOLD: Final = 0.1
_KNOWN: Final = frozenset(("job_name", "scrape_interval", "static_configs", "scheme"))


def read(text: str, name: str, asked: Asked) -> Imported:
    """Return the workload of a configuration; see `importers.load`.

    Raises `UnavailableError` where PyYAML is not installed.
    """
    document = _yaml(text, name)
    if not isinstance(document, dict) or not isinstance(document.get("scrape_configs"), list):
        raise UsageError(f"{name} has no scrape_configs", "is this a Prometheus configuration?")
    overall = document.get("global")
    usual = _interval(overall, _INTERVAL, name) if isinstance(overall, dict) else _INTERVAL
    unused = [Unused(0, str(key)[:80]) for key in document if key not in ("global", "scrape_configs")]
    if isinstance(overall, dict):
        unused += [Unused(0, f"global: {key}"[:80]) for key in overall if key != "scrape_interval"]
    hold = _HOLD if asked.hold is None else asked.hold
    made, flows = [], []
    for number, job in enumerate(document["scrape_configs"], 1):
        if not isinstance(job, dict):
            raise UsageError(f"{name}: scrape_configs {number} is no mapping", "job_name, static_configs")
        target = Target(str(job.get("job_name", f"job {number}"))[:100])
        unused += [Unused(0, f"{target.name}: {key}"[:80]) for key in job if key not in _KNOWN]
        default = 443 if job.get("scheme") == "https" else 80
        for text_of in _targets(job):
            found = endpoint(text_of, default)
            if found is None:
                unused.append(Unused(0, f"{target.name}: target {text_of[:40]}"))
            else:
                target.servers.append(found)
        if not target.servers:
            unused.append(Unused(0, f"{target.name}: no target stands in the file"))
            continue
        interval = _interval(job, usual, name)
        made.append(destination(target))
        kept = hold and interval < _IDLE
        flows.append(
            Flow(
                source="prometheus",
                destination=target.name,
                rate=float(f"{len(target.servers) / interval:.9g}"),
                arrivals=Arrivals.CONSTANT,
                holds=Holding(mean=hold),
                pool=Pool(size=len(target.servers), idle=_IDLE) if kept else None,
            )
        )
    if not flows:
        raise UsageError(f"{name} names no target", "targets of static_configs are read; discovered ones are not there")
    load = Workload(
        title=name,
        notes=(
            *(note for _, notes in made for note in notes),
            f"{'chosen: ' if asked.hold is None else ''}a scrape takes {hold * 1000:g} ms",
            "read: a connection is kept for five minutes, so scrapes more often than that share one",
        ),
        sources=(Source(name="prometheus"),),
        destinations=tuple(each for each, _ in made),
        flows=tuple(flows),
    )
    return Imported(load, tuple(unused))


def _yaml(text: str, name: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise UnavailableError(
            "a Prometheus configuration is YAML, and PyYAML is not installed", "pip install 'timewait[import]'"
        ) from None
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark is not None else name
        said = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise UsageError(f"{where}: no YAML: {said}"[:200], "check the file with promtool check config") from None


def _interval(table: dict[Any, Any], default: float, name: str) -> float:
    value = table.get("scrape_interval")
    if value is None:
        return default
    found = seconds(str(value), "s")
    if not found:
        raise UsageError(f"{name}: scrape_interval {str(value)[:40]!r} is no time", "15s, 1m, 1m30s")
    return found


def _targets(job: dict[Any, Any]) -> Iterator[str]:
    groups = job.get("static_configs")
    for group in groups if isinstance(groups, list) else ():
        targets = group.get("targets") if isinstance(group, dict) else None
        for each in targets if isinstance(targets, list) else ():
            yield str(each)
