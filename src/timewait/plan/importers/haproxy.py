"""HAProxy: backends, their servers, source addresses, and whether connections are reused."""

import shlex
from collections.abc import Iterator
from typing import Final

from timewait.errors import UsageError
from timewait.plan.demand import Binding
from timewait.plan.importers.imported import Asked, Endpoint, Imported, Target, Unused, endpoint, workload
from timewait.plan.workload import Pool, Source

_SECTIONS: Final = frozenset(
    (
        *("global", "defaults", "frontend", "backend", "listen", "peers", "mailers", "userlist", "resolvers", "cache"),
        *("program", "ring", "http-errors", "fcgi-app", "log-forward", "crt-store", "traces"),
    )
)
# Where nothing bounds the connections of a backend: the number is chosen, and said.
_POOL: Final = 100
# pool-purge-delay, configuration manual: idle connections are purged from 5 s on.
_IDLE: Final = 5.0


class _Backend:
    def __init__(self, name: str, reuse: str) -> None:
        self.target = Target(name)
        self.reuse = reuse
        self.most: list[int] = []


def read(text: str, name: str, asked: Asked) -> Imported:
    """Return the workload of a configuration; see `importers.load`."""
    unused: list[Unused] = []
    backends: list[_Backend] = []
    sources: set[str] = set()
    ranges: set[tuple[int, int]] = set()
    section, reuse, current = "", "safe", None
    for line, words in _lines(text, name):
        word, *rest = words
        if word in _SECTIONS:
            section, current = word, None
            if word in ("backend", "listen"):
                current = _Backend(rest[0] if rest else f"{word} in line {line}", reuse)
                backends.append(current)
        elif not section:
            raise UsageError(f"{name}:{line}: {word[:40]!r} stands in no section", "is this an HAProxy configuration?")
        elif word == "http-reuse" and rest and section in ("defaults", "backend", "listen"):
            if current is None:
                reuse = rest[0]
            else:
                current.reuse = rest[0]
        elif word == "source" and rest and current is not None:
            _source(rest, sources, ranges, unused, line)
        elif word in ("server", "server-template") and current is not None:
            _server(word, rest, current, sources, ranges, unused, line)
        else:
            unused.append(Unused(line, " ".join(words)[:80]))
    targets = [_kept(each) for each in backends if each.target.servers]
    load = workload(name, _from(sources, ranges), targets, asked, _notes(backends))
    return Imported(load, tuple(unused))


def _lines(text: str, name: str) -> Iterator[tuple[int, list[str]]]:
    for line, written in enumerate(text.splitlines(), 1):
        try:
            words = shlex.split(written, comments=True)
        except ValueError as error:
            raise UsageError(f"{name}:{line}: {error}", "check the file with haproxy -c -f") from None
        if words:
            yield line, words


def _server(
    kind: str,
    words: list[str],
    backend: _Backend,
    sources: set[str],
    ranges: set[tuple[int, int]],
    unused: list[Unused],
    line: int,
) -> None:
    count = 1
    if kind == "server-template" and len(words) > 2:
        low, _, high = words[1].partition("-")
        if low.isdecimal() and (high or low).isdecimal():
            count = min(int(high or low) - (int(low) if high else 1) + 1, 10_000)
        words = [words[0], *words[2:]]
    at = endpoint(words[1], 80) if len(words) > 1 else None
    rest = words[2:]
    if at is None or count < 1 or {"backup", "disabled"} & set(rest):
        unused.append(Unused(line, " ".join((kind, *words))[:80]))
        return
    backend.target.servers += [at] if count == 1 else [Endpoint(f"{at.host}/{n}", at.port) for n in range(count)]
    while rest:
        word = rest.pop(0)
        if word in ("maxconn", "pool-max-conn") and rest and rest[0].isdecimal():
            backend.most.append(min(int(rest.pop(0)[:9]), 1_000_000) * count)
        elif word == "source" and rest:
            _source([rest.pop(0)], sources, ranges, unused, line)
        else:
            unused.append(Unused(line, f"server {words[0][:30]}: {word[:40]}"))


def _source(words: list[str], sources: set[str], ranges: set[tuple[int, int]], unused: list[Unused], line: int) -> None:
    """Read `ADDRESS[:PORT[-PORT]]`: with ports HAProxy chooses them itself, one for each connection."""
    address, _, ports = words[0].rpartition(":") if words[0].count(":") == 1 else (words[0], "", "")
    low, _, high = ports.partition("-")
    if address and address != "*":
        sources.add(address)
    if low.isdecimal() and (high or low).isdecimal() and 1 <= int(low) <= int(high or low) <= 65535:
        ranges.add((int(low), int(high or low)))
    elif ports:
        unused.append(Unused(line, f"source {words[0][:60]}"))
    for word in words[1:]:
        unused.append(Unused(line, f"source: {word[:60]}"))


def _from(sources: set[str], ranges: set[tuple[int, int]]) -> Source:
    addresses = max(1, len(sources))
    if len(ranges) != 1:
        return Source(name="haproxy", addresses=addresses)
    return Source(name="haproxy", addresses=addresses, port_range=next(iter(ranges)), binding=Binding.EXPLICIT)


def _kept(backend: _Backend) -> Target:
    if backend.reuse != "never":
        most = sum(backend.most)
        size = min(most, 1_000_000) if most else _POOL * len(backend.target.servers)
        backend.target.pool = Pool(size=max(1, size), idle=_IDLE, waits=bool(most))
    return backend.target


def _notes(backends: list[_Backend]) -> Iterator[str]:
    yield "chosen: HAProxy closes first"
    for each in backends:
        if each.reuse == "never":
            yield f"{each.target.name}: http-reuse never: one connection for each request"
        elif not each.most:
            yield f"{each.target.name}: nothing bounds its connections; chosen: {_POOL} kept for each server"
    if any(each.most for each in backends):
        yield "documented: beyond maxconn of a server requests wait"
