"""A workload as a TOML file: the tables of keys, reading, writing, and the JSON Schema made from them."""

import tomllib
from collections.abc import Callable
from dataclasses import fields
from typing import Any, Final, NamedTuple

from timewait.errors import UsageError
from timewait.plan.demand import Arrivals, Binding
from timewait.plan.keys import (
    CLOSER,
    COUNT,
    COUNT_OR_NONE,
    DURATION,
    FLAG,
    GROWTH,
    NUMBER,
    NUMBERS,
    OCTETS,
    PORTS,
    RANGE,
    RATE,
    SETTINGS,
    TEXT,
    TEXTS,
    Key,
    Kind,
    choice,
    either,
    read_table,
    schema_of,
    write_table,
)
from timewait.plan.workload import (
    DISTRIBUTIONS,
    Bursts,
    Destination,
    Flow,
    Holding,
    Middlebox,
    Pool,
    Source,
    Workload,
)
from timewait.tcp import profiles

MOST_OCTETS: Final = 1 << 20


def _inner(make: Callable[..., Any], keys: tuple[Key, ...], where: str, default: Any) -> Kind:
    """Return the kind of value that is a table within a table."""
    return Kind(
        lambda value: make(**read_table(keys, value, where)),
        lambda value: "{ " + ", ".join(write_table(keys, value, default)) + " }",
        schema_of(keys),
    )


_HOLDING: Final = (
    Key(name="mean", kind=DURATION, meaning="The mean.", example='mean = "200ms"', needed=True),
    Key(
        name="distribution",
        kind=choice(DISTRIBUTIONS),
        meaning="How times are spread around it; uniform is from 0 to twice the mean.",
        example='distribution = "lognormal"',
    ),
    Key(
        name="spread",
        kind=NUMBER,
        meaning="Standard deviation over mean, for lognormal and pareto.",
        example="spread = 1.5",
    ),
)
_POOL: Final = (
    Key(name="size", kind=COUNT, meaning="Connections, of each source host.", example="size = 64", needed=True),
    Key(
        name="idle",
        kind=DURATION,
        meaning="After how long without a request one is closed; left out: never.",
        example='idle = "60s"',
    ),
    Key(
        name="waits",
        kind=FLAG,
        meaning="Whether a request that finds all in use waits, instead of opening one more that is closed after it.",
        example="waits = true",
    ),
)
_BURSTS: Final = (
    Key(name="rate", kind=RATE, meaning="The rate while one lasts.", example='rate = "2000/s"', needed=True),
    Key(name="lasts", kind=DURATION, meaning="How long one lasts.", example='lasts = "10s"', needed=True),
    Key(
        name="every", kind=DURATION, meaning="From the start of one to the next.", example='every = "5min"', needed=True
    ),
)

_HOSTS: Final = Key(name="hosts", kind=COUNT, meaning="How many there are, all alike.", example="hosts = 4")
_PROFILE: Final = Key(
    name="profile",
    kind=choice(profiles.names()),
    meaning="The TCP stack of these hosts; timewait profiles lists what each does.",
    example='profile = "freebsd"',
)
_SYSCTLS: Final = Key(
    name="sysctls",
    kind=SETTINGS,
    meaning="Settings of the stack that are not its defaults.",
    example="sysctls = { tcp_tw_reuse = 1 }",
)
_NAME: Final = Key(name="name", kind=TEXT, meaning="What flows call it.", example='name = "app"', needed=True)

SOURCE: Final = (
    _NAME,
    _HOSTS,
    Key(name="addresses", kind=COUNT, meaning="Addresses that each host connects from.", example="addresses = 2"),
    _PROFILE,
    Key(
        name="port_range",
        kind=RANGE,
        meaning="The ports that connect() chooses from; left out: the profile's.",
        example="port_range = [1024, 65535]",
    ),
    Key(
        name="reserved_ports",
        kind=PORTS,
        meaning="Ports of the range that are kept for services.",
        example='reserved_ports = [8080, "9000-9010"]',
    ),
    _SYSCTLS,
    Key(
        name="binding",
        kind=choice([each.value for each in Binding], Binding),
        meaning="Who chooses the port: connect(), which sees the destination (late); bind() to port 0, which does not "
        "(bind); the program, by bind() to a port of its choice, with SO_REUSEADDR (explicit).",
        example='binding = "bind"',
    ),
    Key(
        name="socket_range",
        kind=FLAG,
        meaning="Whether the program sets the range on each socket (IP_LOCAL_PORT_RANGE): Linux then has no step at "
        "half the range.",
        example="socket_range = true",
    ),
)
DESTINATION: Final = (
    _NAME,
    _HOSTS,
    Key(name="addresses", kind=COUNT, meaning="Addresses of each host.", example="addresses = 2"),
    Key(
        name="ports",
        kind=PORTS,
        meaning="Ports and ranges of ports that it listens on, at each address.",
        example='ports = [443, "8000-8009"]',
    ),
    _PROFILE,
    _SYSCTLS,
    Key(
        name="closes_first",
        kind=CLOSER,
        field="client_closes",
        meaning="Who closes first, and so has the TIME-WAIT: client, server, or the share in which the client does.",
        example='closes_first = "server"',
    ),
    Key(
        name="loopback",
        kind=FLAG,
        meaning="Whether it is on the source's own host (net.ipv4.tcp_tw_reuse = 2 then applies).",
        example="loopback = true",
    ),
)
MIDDLEBOX: Final = (
    _NAME,
    Key(
        name="addresses",
        kind=COUNT_OR_NONE,
        meaning="Addresses that it translates sources to (source NAT); 0: it only tracks connections.",
        example="addresses = 2",
    ),
    Key(
        name="port_range",
        kind=RANGE,
        meaning="The ports of each of these that it uses.",
        example="port_range = [1024, 65535]",
    ),
    Key(
        name="time_wait",
        kind=DURATION,
        meaning="How long it keeps an entry after the close.",
        example='time_wait = "120s"',
    ),
    Key(
        name="takes_over",
        kind=FLAG,
        meaning="Whether a new connection may take the port of an entry that waits (Linux: not in 6.1, in 6.12).",
        example="takes_over = false",
    ),
    Key(
        name="conntrack_max",
        kind=COUNT,
        field="most",
        meaning="Entries that its table holds.",
        example="conntrack_max = 262144",
    ),
)
FLOW: Final = (
    Key(name="source", kind=TEXT, meaning="Who connects.", example='source = "app"', needed=True),
    Key(name="destination", kind=TEXT, meaning="Where to.", example='destination = "db"', needed=True),
    Key(
        name="rate",
        kind=RATE,
        meaning="Requests, of all source hosts together; the day's mean, or between bursts.",
        example='rate = "500/s"',
        needed=True,
    ),
    Key(
        name="arrivals",
        kind=choice([each.value for each in Arrivals], Arrivals),
        meaning="How they come: each by itself (poisson), or as a clock ticks (constant).",
        example='arrivals = "constant"',
    ),
    Key(
        name="daily",
        kind=NUMBERS,
        meaning="How the rate goes through a day: factors for equal parts of it, scaled so that their mean is 1.",
        example="daily = [0.3, 0.5, 1.6, 1.6]",
    ),
    Key(
        name="bursts",
        kind=_inner(Bursts, _BURSTS, "bursts", None),
        meaning="What the rate goes up to, for how long, how often.",
        example='bursts = { rate = "2000/s", lasts = "10s", every = "5min" }',
    ),
    Key(
        name="holds",
        kind=either(
            Kind(
                lambda value: Holding(mean=DURATION.read(value)),
                lambda value: DURATION.write(value.mean),
                DURATION.schema,
            ),
            _inner(Holding, _HOLDING, "holds", Holding()),
            lambda value: not isinstance(value, dict),
            lambda value: value.distribution == "constant",
        ),
        meaning="How long a connection is open; with a pool, how long a request takes.",
        example='holds = { mean = "200ms", distribution = "exponential" }',
    ),
    Key(
        name="requests_per_connection",
        kind=NUMBER,
        field="per_connection",
        meaning="Requests that one connection carries before it is closed; of a pool at most, and left out any number.",
        example="requests_per_connection = 100",
    ),
    Key(
        name="pool",
        kind=_inner(Pool, _POOL, "pool", Pool(size=1)),
        meaning="Connections kept open for one request after the other.",
        example='pool = { size = 64, idle = "60s" }',
    ),
    Key(
        name="sends",
        kind=OCTETS,
        field="octets",
        meaning="What the client sends over one connection; it matters without timestamps.",
        example='sends = "20 kB"',
    ),
    Key(name="via", kind=TEXTS, meaning="Middleboxes on the way.", example='via = ["gateway"]'),
)
TOP: Final = (
    Key(name="title", kind=TEXT, meaning="What this is.", example='title = "checkout"'),
    Key(
        name="notes",
        kind=TEXTS,
        meaning="Where the numbers are from; shown with every report.",
        example='notes = ["measured in May"]',
    ),
    Key(
        name="within",
        kind=DURATION,
        meaning="For how long no connect may fail, for the highest rate.",
        example='within = "1h"',
    ),
    Key(name="growth", kind=GROWTH, meaning="How all rates grow.", example='growth = "5%/month"'),
)


class Section(NamedTuple):
    """A table that may stand several times in a file, `[[name]]`, and the value that it makes."""

    name: str
    keys: tuple[Key, ...]
    make: Callable[..., Any]
    meaning: str


SECTIONS: Final = (
    Section("sources", SOURCE, Source, "Hosts that connect."),
    Section("destinations", DESTINATION, Destination, "Hosts that are connected to."),
    Section("middleboxes", MIDDLEBOX, Middlebox, "Boxes on the way that track connections or translate addresses."),
    Section("flows", FLOW, Flow, "Requests from a source to a destination."),
)
# What stands within a table, for the reference.
INNER: Final = (
    Section("holds", _HOLDING, Holding, "A distribution of durations."),
    Section("pool", _POOL, Pool, "A pool of connections."),
    Section("bursts", _BURSTS, Bursts, "Bursts."),
)


def read(text: str, name: str) -> Workload:
    """Return the workload of a file's text.  `name`: of the file, for messages.

    Raises `UsageError` with the place, what is wrong, and what is wanted.
    """
    if len(text) > MOST_OCTETS:
        raise UsageError(f"{name} is larger than 1 MiB", "a workload file has some ten lines")
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise UsageError(
            f"{name} is no TOML: {_first_line(error)}", "timewait plan preset proxy shows a file"
        ) from None
    return from_tables(document, name)


def from_tables(document: dict[str, Any], name: str) -> Workload:
    """Return the workload of a file that is read already; see `read`."""
    tables = [section.name for section in SECTIONS]
    found = read_table(TOP, {key: value for key, value in document.items() if key not in tables}, name, tables)
    for section in SECTIONS:
        found[section.name] = tuple(_rows(section, document.get(section.name, []), name))
    try:
        return Workload(**found)
    except UsageError as error:
        raise UsageError(f"{name}: {error.what}", error.hint) from None


def _rows(section: Section, tables: Any, name: str) -> list[Any]:
    if not isinstance(tables, list):
        raise UsageError(f"{name}: {section.name} is one table", f"write [[{section.name}]], in double brackets")
    rows = []
    for number, table in enumerate(tables, 1):
        where = f"{name}: {section.name} {number}"
        values = read_table(section.keys, table, where)
        try:
            rows.append(section.make(**values))
        except UsageError as error:
            raise UsageError(f"{where}: {error.what}", error.hint) from None
    return rows


def write(workload: Workload) -> str:
    """Return the text of a file that reads as this workload."""
    nothing = Workload.__dataclass_fields__
    lines = []
    for key in TOP:
        own = getattr(workload, key.target)
        if own != nothing[key.target].default:
            lines.append(f"{key.name} = {key.kind.write(own)}")
    for section in SECTIONS:
        for value in getattr(workload, section.name):
            lines += ["", f"[[{section.name}]]", *write_table(section.keys, value, _defaults(value))]
    return "\n".join(lines).lstrip("\n") + "\n"


def _defaults(value: Any) -> Any:
    """Return an object with the defaults of a value's fields; what has none equals nothing."""
    from dataclasses import MISSING
    from types import SimpleNamespace

    found = SimpleNamespace()
    for each in fields(value):
        default = each.default if each.default_factory is MISSING else each.default_factory()
        setattr(found, each.name, default)
    return found


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a workload file."""
    document = schema_of(TOP)
    for section in SECTIONS:
        rows: dict[str, Any] = {
            "description": section.meaning,
            "type": "array",
            "items": schema_of(section.keys),
        }
        document["properties"][section.name] = rows | ({"minItems": 1} if section.name == "flows" else {})
    document["required"] = ["sources", "destinations", "flows"]
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": "timewait plan: a workload file", **document}


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
