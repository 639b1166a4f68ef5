"""nginx: upstreams and what is passed to them.  Blocks may be nested; included files are not read, and listed."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from timewait.errors import UsageError
from timewait.plan.importers.imported import Asked, Imported, Target, Unused, endpoint, is_loopback, seconds, workload
from timewait.plan.workload import Pool, Source

_TOKEN: Final = re.compile(
    r"""[ \t\r\n]+|\#[^\n]*|(?P<sign>[{};])|"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>(?:[^'\\]|\\.)*)'"""
    r"""|(?P<word>(?:[^\s{};"'\\\#]|\\.|\$\{\w*\}|(?<=\S)[#"'])+)""",
    re.DOTALL,
)
_DEEPEST: Final = 64
_PASSES: Final = {"proxy_pass": 80, "grpc_pass": 80, "fastcgi_pass": 9000, "uwsgi_pass": 3031, "memcached_pass": 11211}
_URL: Final = re.compile(r"(?:(?P<scheme>https?|grpcs?|uwsgi|suwsgi)://)?(?P<rest>[^/\s]+)(?:/.*)?", re.DOTALL)
# keepalive_requests since 1.19.10; keepalive_timeout of an upstream.  ngx_http_upstream_keepalive_module.
_REQUESTS: Final = 1000.0
_IDLE: Final = 60.0


class _Directive(NamedTuple):
    name: str
    words: tuple[str, ...]
    line: int
    block: "tuple[_Directive, ...] | None"


def read(text: str, name: str, asked: Asked) -> Imported:
    """Return the workload of a configuration; see `importers.load`."""
    found = _Reader(_parsed(text, name))
    targets = list(found.targets())
    addresses = max(1, len(found.bound))
    source = Source(name="nginx", addresses=addresses)
    load = workload(name, source, targets, asked, found.notes(targets))
    return Imported(load, tuple(sorted(found.unused)))


def _parsed(text: str, name: str) -> tuple[_Directive, ...]:
    tokens = _tokens(text, name)
    top, line = _block(tokens, name, 0)
    if line:
        raise UsageError(f"{name}:{line}: a closing brace too many", "check the file with nginx -t")
    return top


def _tokens(text: str, name: str) -> Iterator[tuple[str, str, int]]:
    at, line = 0, 1
    while at < len(text):
        found = _TOKEN.match(text, at)
        if not found:
            raise UsageError(f"{name}:{line}: {text[at : at + 20]!r} cannot be read", "check the file with nginx -t")
        kind = found.lastgroup
        if kind is not None:
            yield ("sign" if kind == "sign" else "word"), found[kind], line
        line += found[0].count("\n")
        at = found.end()


def _block(tokens: Iterator[tuple[str, str, int]], name: str, depth: int) -> tuple[tuple[_Directive, ...], int]:
    """Return the directives up to the brace that closes the block, and its line; 0 at the end of the file."""
    if depth > _DEEPEST:
        raise UsageError(f"{name}: blocks are nested deeper than {_DEEPEST}", "check the file with nginx -t")
    found: list[_Directive] = []
    words: list[str] = []
    start = 0
    for kind, word, line in tokens:
        start = start if words else line
        if kind == "word":
            words.append(word)
        elif word == "}":
            if words:
                raise UsageError(f"{name}:{line}: {words[0][:40]} does not end with ;", "check the file with nginx -t")
            return tuple(found), line
        elif not words:
            raise UsageError(f"{name}:{line}: {word!r} without a directive", "check the file with nginx -t")
        else:
            inner = None
            if word == "{":
                inner, end = _block(tokens, name, depth + 1)
                if not end:
                    raise UsageError(f"{name}:{start}: the block of {words[0][:40]} is not closed", "add a }")
            found.append(_Directive(words[0], tuple(words[1:]), start, inner))
            words = []
    if words:
        raise UsageError(f"{name}:{start}: {words[0][:40]} does not end with ;", "check the file with nginx -t")
    return tuple(found), 0


class _Reader:
    """What the directives say, gathered while they are walked through."""

    def __init__(self, top: tuple[_Directive, ...]) -> None:
        self.unused: list[Unused] = []
        self.upstreams: dict[str, Target] = {}
        self.passed: dict[str, int] = {}
        self.bound: set[str] = set()
        self.workers = 1
        self.keeps = False
        self.modern = False
        self._walk(top, 0)

    def _walk(self, block: tuple[_Directive, ...], depth: int) -> None:
        for each in block:
            if each.name == "upstream" and each.block is not None:
                self._upstream(each)
            elif each.name in _PASSES and each.words:
                self._pass(each)
            elif each.name == "proxy_bind" and each.words and "$" not in each.words[0]:
                if each.words[0] != "off":
                    self.bound.add(each.words[0])
            elif each.name == "worker_processes" and each.words and each.words[0].isdecimal():
                self.workers = max(1, min(int(each.words[0][:6]), 1024))
            elif each.name == "proxy_http_version" and each.words == ("1.1",):
                self.modern = True
            elif each.name == "proxy_set_header" and each.words[:1] and each.words[0].lower() == "connection":
                self.keeps = len(each.words) > 1 and each.words[1] == ""
            elif each.block is not None and each.name in ("http", "server", "location", "if", "stream", "events"):
                self._walk(each.block, depth + 1)
            else:
                self._left(each)

    def _left(self, each: _Directive) -> None:
        self.unused.append(Unused(each.line, " ".join((each.name, *each.words))[:80]))
        for inner in each.block or ():
            self._left(inner)

    def _upstream(self, each: _Directive) -> None:
        target = Target(each.words[0] if each.words else "upstream")
        size, idle, requests = 0, _IDLE, _REQUESTS
        for inner in each.block or ():
            server = endpoint(inner.words[0], 80) if inner.name == "server" and inner.words else None
            if server is not None and not {"backup", "down"} & set(inner.words[1:]):
                target.servers.append(server)
            elif inner.name == "keepalive" and inner.words and inner.words[0].isdecimal():
                size = min(int(inner.words[0][:9]), 100_000)
            elif inner.name == "keepalive_requests" and inner.words and inner.words[0].isdecimal():
                requests = float(max(1, int(inner.words[0][:9])))
            elif inner.name == "keepalive_timeout" and inner.words and (time := seconds(inner.words[0], "s")):
                idle = time
            else:
                self._left(inner)
        if size:
            target.pool, target.per_connection = Pool(size=size, idle=idle), requests
        self.upstreams[target.name] = target

    def _pass(self, each: _Directive) -> None:
        found = _URL.fullmatch(each.words[0])
        if found is None or "$" in each.words[0] or found["rest"].startswith("unix:"):
            self._left(each)
            return
        self.passed[found["rest"]] = 443 if found["scheme"] in ("https", "grpcs") else _PASSES[each.name]

    def targets(self) -> Iterator[Target]:
        """Yield what is passed to; an upstream that nothing passes to is left out, and listed."""
        for name, port in self.passed.items():
            if name in self.upstreams:
                target = self.upstreams[name]
                if target.pool is not None:
                    target.pool = Pool(size=target.pool.size * self.workers, idle=target.pool.idle)
                if target.servers:
                    yield target
            elif (server := endpoint(name, port)) is not None:
                yield Target(name, [server])
            else:
                self.unused.append(Unused(0, f"passed to {name[:60]}"))
        for name in self.upstreams.keys() - self.passed.keys():
            self.unused.append(Unused(0, f"upstream {name[:60]}, which nothing is passed to"))

    def notes(self, targets: list[Target]) -> Iterator[str]:
        """Yield what was chosen or does not fit."""
        yield "measured with nginx 1.22: it closes first, unless the server was told to and was faster"
        kept = [target.name for target in targets if target.pool]
        if kept and not (self.modern and self.keeps):
            yield (
                f"keepalive of {', '.join(kept)} counts, but needs proxy_http_version 1.1 and an empty Connection "
                "header in older versions of nginx: they were not seen"
            )
        if kept:
            yield f"documented: keepalive is for each worker process; {self.workers} of them"
        if any(is_loopback(server.host) for target in targets for server in target.servers):
            yield "servers on loopback: tcp_tw_reuse = 2 takes their ports over"
