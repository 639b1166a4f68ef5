"""The founding experiment: one host connects to itself over one four-tuple, again and again.

Question: does it matter which side closes first?  RFC 9293 3.6.1 lets a passive open leave TIME-WAIT early (MAY-2) and
says nothing of the kind for an active one.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from timewait.clock import MS, Duration
from timewait.endpoint import Endpoint
from timewait.errors import UnavailableError
from timewait.lab.host import OWN_STACK, Host, InterruptedCallError, Outcome
from timewait.lab.rules import LINUX, Holder, Policy, Rule, Situation, explain, judge
from timewait.lab.scenario import Observation, Parameter, Scenario, Settings, Stage, linux, observed, rfc
from timewait.system.counters import moved
from timewait.system.socket_table import Socket

# How long a FIN may wait for its acknowledgment while the other side's program does not close.  After a request and
# its response the receiver delays its ACKs: TCP_DELACK_MIN, HZ/25, include/net/tcp.h.  Without: measured on 6.18, the
# ACK came after 0 to 4 ms (30 runs: still FIN-WAIT-1 at once in 29, after 5 ms in 1).
DELAYED_ACK: Final = 40 * MS
PROMPT_ACK: Final = 5 * MS
_CHUNK: Final = 16 * 1024

SYSCTLS: Final = (
    "net.ipv4.tcp_timestamps",
    "net.ipv4.tcp_tw_reuse",
    "net.ipv4.tcp_tw_reuse_delay",
    "net.ipv4.tcp_rfc1337",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.ip_local_port_range",
)


class Closer(StrEnum):
    """Who closes first."""

    SERVER = "server"
    CLIENT = "client"


class Binding(StrEnum):
    """How the client's port is chosen: by bind(), or by connect() from a range of exactly one port."""

    EXPLICIT = "explicit"
    EPHEMERAL = "ephemeral"


class PeerClose(StrEnum):
    """When the other side closes: right after the first, after the next connect(), or not while the run lasts."""

    PROMPT = "prompt"
    LATE = "late"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """What the experiment varies.  `count` 0: until interrupted.  None: as the host has it."""

    port: int
    closer: Closer
    count: int = 20
    interval: Duration = 0
    binding: Binding = Binding.EXPLICIT
    peer_close: PeerClose = PeerClose.PROMPT
    payload: int = 0
    linger0: bool = False
    ipv6: bool = False
    timestamps: bool | None = None
    tw_reuse: int | None = None
    tw_reuse_delay: int | None = None
    rfc1337: bool = False

    @property
    def server(self) -> Endpoint:
        """The end that listens."""
        return Endpoint("::1" if self.ipv6 else "127.0.0.1", self.port)

    @property
    def client(self) -> Endpoint:
        """The end that connects."""
        return Endpoint(self.server.address, self.port + 1)

    def sysctls(self) -> dict[str, str]:
        """The settings to make before the first connect; empty when everything is left as it is."""
        asked: dict[str, int | None] = {
            "tcp_timestamps": None if self.timestamps is None else int(self.timestamps),
            "tcp_tw_reuse": self.tw_reuse,
            "tcp_tw_reuse_delay": self.tw_reuse_delay,
            "tcp_rfc1337": 1 if self.rfc1337 else None,
        }
        settings = {f"net.ipv4.{name}": str(value) for name, value in asked.items() if value is not None}
        if self.binding is Binding.EPHEMERAL:
            if self.port + 1 < 1024:  # the range may not reach below the first unprivileged port
                settings["net.ipv4.ip_unprivileged_port_start"] = "0"
            settings["net.ipv4.ip_local_port_range"] = f"{self.port + 1} {self.port + 1}"
        return settings


@dataclass(frozen=True, slots=True)
class Attempt:
    """One connect: what it came to, what stood on the four-tuple just before, and the rule that explains it."""

    number: int
    call: str
    error: str
    took: Duration
    situation: Situation | None
    rule: Rule | None

    @property
    def ok(self) -> bool:
        """Whether the connect succeeded."""
        return not self.error


@dataclass(slots=True)
class Record:
    """What a run showed."""

    parameters: Parameters
    circumstances: dict[str, str] = field(default_factory=dict)
    policy: Policy = LINUX
    settings: dict[str, str | None] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    connected: int = 0
    sockets: list[Socket] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    interrupted: bool = False

    @property
    def private(self) -> bool:
        """Whether the host's settings were its own, to be changed at will."""
        return self.circumstances.get("stack") != OWN_STACK

    @property
    def failure(self) -> Attempt | None:
        """The attempt that failed, if one did."""
        return self.attempts[-1] if self.attempts and not self.attempts[-1].ok else None


# Attempts that are kept of a run without end: the first ones and the last.
_KEPT: Final = 10_000


def run(host: Host, parameters: Parameters, tell: Callable[[str, dict[str, Any]], None]) -> Record:
    """Repeat connect and close until the count, the first failure or an interruption; return what was seen.

    `tell` hears of each step as it happens: "closer", "connecting", "failed", with its data.  Raises
    `UnavailableError` where the host cannot be set up.
    """
    record = Record(parameters, host.circumstances(), host.policy())
    for name, value in parameters.sysctls().items():
        host.set_sysctl(name, value)
    record.settings = {name: host.sysctl(name) for name in SYSCTLS}
    before = host.counters()
    rounds = _Rounds(host, parameters, record, tell)
    tell("closer", {"closer": parameters.closer.value})
    try:
        rounds.run()
    except InterruptedCallError:
        record.interrupted = True
    record.sockets = four_tuple(host, parameters)
    record.counters = moved(before, host.counters())
    return record


def four_tuple(host: Host, parameters: Parameters) -> list[Socket]:
    """Return the sockets at both ends of the four-tuple, the client's first."""
    ends = (parameters.client, parameters.server)
    found = []
    for local, peer in (ends, ends[::-1]):
        rows = host.sockets(local_port=local.port, peer_port=peer.port)
        found += [row for row in rows if (row.local, row.peer) == (local, peer)]
    return found


class _Rounds:
    """The loop, with what one round leaves for the next."""

    def __init__(
        self, host: Host, parameters: Parameters, record: Record, tell: Callable[[str, dict[str, Any]], None]
    ) -> None:
        self.host = host
        self.parameters = parameters
        self.record = record
        self.tell = tell
        self.timestamps = False  # whether the connection before this one used them
        self.unclosed: list[int] = []
        self.listener = _must(host.listen(parameters.server, reuse_address=True), f"{parameters.server}")

    def run(self) -> None:
        number = 0
        while not self.parameters.count or number < self.parameters.count:
            if number and self.parameters.interval:
                self.host.wait(self.parameters.interval)
            number += 1
            connection = self._connect(number)
            if connection is None:
                return
            self._finish(connection)

    def _connect(self, number: int) -> int | None:
        situation = self._situation() if number > 1 else None
        self.tell("connecting", {"number": number})
        outcome = self.host.connect(
            self.parameters.server,
            source=self.parameters.client if self.parameters.binding is Binding.EXPLICIT else None,
            # bind() over a port in TIME-WAIT needs the flag on both sockets; it has no say in connect().
            reuse_address=self.parameters.binding is Binding.EXPLICIT,
        )
        rule = explain(situation, outcome.ok) if situation else None
        if len(self.record.attempts) >= _KEPT:
            self.record.attempts.pop()
        self.record.attempts.append(Attempt(number, outcome.call, outcome.error, outcome.took, situation, rule))
        if not outcome.ok:
            if number == 1:
                _must(outcome, f"{self.parameters.client}")
            self.tell("failed", {"call": outcome.call, "error": outcome.error})
            return None
        self.record.connected += 1
        if self.parameters.peer_close is PeerClose.LATE:
            while self.unclosed:
                self.host.close(self.unclosed.pop())
        connection: int = outcome.value
        return connection

    def _situation(self) -> Situation:
        ends: dict[str, Holder] = {}
        policy = self.record.policy
        for row in four_tuple(self.host, self.parameters):
            recycled = policy.recycled if self.timestamps and row.state == "TIME-WAIT" else None
            length = policy.wait if recycled is None else recycled
            age = max(0, length - row.time_left) if row.time_left is not None else 0
            ends["client" if row.local == self.parameters.client else "server"] = Holder(row.state, row.mini, age)
        settings = self.record.settings
        return Situation(
            ends.get("client"),
            ends.get("server"),
            timestamps=self.timestamps,
            bound=self.parameters.binding is Binding.EXPLICIT,
            loopback=self.parameters.server.is_loopback,
            tw_reuse=_number(settings["net.ipv4.tcp_tw_reuse"], policy.reuse),
            delay=_number(settings["net.ipv4.tcp_tw_reuse_delay"], policy.delay // MS) * MS,
            policy=policy,
        )

    def _finish(self, client: int) -> None:
        """Exchange the payload, then close by the chosen side, then by the other."""
        server = _must(self.host.accept(self.listener), "accept")
        self.timestamps = self.host.info(client).timestamps
        if self.parameters.payload:
            transfer(self.host, client, server, self.parameters.payload)
            transfer(self.host, server, client, self.parameters.payload)
        first, second = (server, client) if self.parameters.closer is Closer.SERVER else (client, server)
        if self.parameters.linger0:
            self.host.abort(first)
        else:
            self.host.close(first)
        if self.parameters.peer_close is PeerClose.PROMPT:
            self.host.close(second)
        else:
            self.unclosed.append(second)


def _must(outcome: Outcome, what: str) -> int:
    """Return the value of a call without which there is no experiment."""
    if not outcome.ok:
        raise CannotSetUpError(outcome, what)
    value: int = outcome.value
    return value


class CannotSetUpError(UnavailableError):
    """The listener or the very first connection could not be made."""

    def __init__(self, outcome: Outcome, what: str) -> None:
        hints = {
            "EADDRINUSE": "another socket has the port: choose another one, or leave out --here",
            "EADDRNOTAVAIL": "an earlier run's TIME-WAIT lasts 60 s: choose another port, or leave out --here",
            "EACCES": "ports below 1024 want root: choose a higher one, or leave out --here",
            "EAFNOSUPPORT": "this kernel has IPv6 switched off: leave out --ipv6",
        }
        super().__init__(f"{outcome.call}({what}): {outcome.error}", hints.get(outcome.error, ""))


def transfer(host: Host, sender: int, receiver: int, size: int) -> None:
    """Carry `size` octets from one connection to the other, in pieces that no buffer overflows."""
    left = size
    while left:
        sent = _must(host.send(sender, bytes(min(left, _CHUNK))), "the request or response")
        left -= sent
        while sent:
            outcome = host.receive(receiver, sent)
            _must(outcome, "the request or response")
            if not outcome.value:
                raise UnavailableError("the connection ended in the middle of the payload")
            sent -= len(outcome.value)


# -- what the rules say before anything is run ------------------------------------------------------------------------


def expected(parameters: Parameters, settings: dict[str, str | None], policy: Policy = LINUX) -> Situation:
    """Return what the second connect() meets, by RFC 9293's states alone, on a host with these settings."""
    timestamps = parameters.timestamps
    tw_reuse, delay = parameters.tw_reuse, parameters.tw_reuse_delay
    client: Holder | None = None
    server: Holder | None = None
    prompt = parameters.peer_close is PeerClose.PROMPT
    waiting = Holder("TIME-WAIT", True, parameters.interval)
    if parameters.linger0:
        pass  # a reset: neither end is left with anything
    elif parameters.closer is Closer.SERVER:
        server = waiting if prompt else Holder("FIN-WAIT-2", True, parameters.interval)
        client = None if prompt else Holder("CLOSE-WAIT", False)
    elif prompt:
        client = waiting
    else:
        server = Holder("CLOSE-WAIT", False)
        unacknowledged = parameters.interval < (DELAYED_ACK if parameters.payload else PROMPT_ACK)
        client = Holder("FIN-WAIT-1", False) if unacknowledged else replace(waiting, state="FIN-WAIT-2")
    return Situation(
        client,
        server,
        timestamps=timestamps if timestamps is not None else settings["net.ipv4.tcp_timestamps"] != "0",
        bound=parameters.binding is Binding.EXPLICIT,
        loopback=parameters.server.is_loopback,
        tw_reuse=tw_reuse if tw_reuse is not None else _number(settings["net.ipv4.tcp_tw_reuse"], policy.reuse),
        delay=MS
        * (delay if delay is not None else _number(settings["net.ipv4.tcp_tw_reuse_delay"], policy.delay // MS)),
        policy=policy,
    )


def _number(setting: str | None, otherwise: int) -> int:
    return otherwise if setting is None else int(setting)


# Single options that may turn a result around: how they are written, and what they change; of a kind, the mildest
# first, and the others are not named when that one does.
_TURNS: Final[tuple[tuple[tuple[str, dict[str, Any]], ...], ...]] = (
    (("--timestamps on", {"timestamps": True}),),
    (("--timestamps off", {"timestamps": False}),),
    (("--bind explicit", {"binding": Binding.EXPLICIT}),),
    (("--bind ephemeral", {"binding": Binding.EPHEMERAL}),),
    (("--tw-reuse 1", {"tw_reuse": 1}),),
    (("--tw-reuse 0", {"tw_reuse": 0}),),
    (
        ("--interval 0", {"interval": 0}),
        ("--interval 0.1", {"interval": 100 * MS}),
        ("--interval 1.1", {"interval": 1100 * MS}),
    ),
    (("--tw-reuse-delay 1", {"tw_reuse_delay": 1}),),
    (("--peer-close prompt", {"peer_close": PeerClose.PROMPT}),),
    (("--peer-close never", {"peer_close": PeerClose.NEVER}),),
    (("s instead of c", {"closer": Closer.SERVER}),),
    (("c instead of s", {"closer": Closer.CLIENT}),),
    (("--linger0", {"linger0": True}),),
)


def turns(record: Record) -> list[str]:
    """Return the single options that, by the rules, would turn the result around.

    Only settings that the host has; on the machine's own stack, none that would be a sysctl.  Nothing where the rules
    would not have foreseen the result itself.
    """
    parameters, settings = record.parameters, record.settings
    found: list[str] = []
    if judge(expected(parameters, settings, record.policy)).allows != (record.failure is None):
        return found
    for kind in _TURNS:
        for option, change in kind:
            other = replace(parameters, **change)
            if other == parameters or (other.sysctls() and not record.private):
                continue
            if any(settings.get(f"net.ipv4.tcp_{name}", "") is None for name in change):
                continue
            if judge(expected(other, settings, record.policy)).allows != (record.failure is None):
                found.append(option)
                break
    return found


# -- as a scenario of the catalogue -----------------------------------------------------------------------------------

_REUSE_SOURCE: Final = "tcp_twsk_unique(), net/ipv4/tcp_ipv4.c"
# Who closes, how the port is chosen, timestamps, how the second connect() ends, and by whose word.
_CASES: Final = (
    (Closer.SERVER, Binding.EXPLICIT, True, rfc("ok", "RFC 9293 3.6.1 (MAY-2), RFC 6191 2")),
    (Closer.SERVER, Binding.EXPLICIT, False, rfc("ok", "RFC 9293 3.6.1 (MAY-2), RFC 6191 2")),
    (Closer.CLIENT, Binding.EXPLICIT, True, linux("ok", f"{_REUSE_SOURCE}: twp is NULL")),
    (Closer.CLIENT, Binding.EXPLICIT, False, linux("EADDRNOTAVAIL", f"{_REUSE_SOURCE}: no ts_recent_stamp")),
    (Closer.CLIENT, Binding.EPHEMERAL, True, linux("EADDRNOTAVAIL", f"{_REUSE_SOURCE}: tcp_tw_reuse_delay")),
    (Closer.CLIENT, Binding.EPHEMERAL, False, linux("EADDRNOTAVAIL", f"{_REUSE_SOURCE}: no ts_recent_stamp")),
)


def _observe(stage: Stage, settings: Settings) -> list[Observation]:
    found = []
    for at, (closer, binding, timestamps, foretold) in enumerate(_CASES):
        asked = Parameters(
            port=44400 + 2 * at, closer=closer, count=settings["count"], binding=binding, timestamps=timestamps
        )
        record = run(stage.host, asked, lambda *_: None)
        name = f"{closer} closes, {binding} port, timestamps {'on' if timestamps else 'off'}"
        ended = record.failure.error if record.failure else "ok"
        found.append(observed(name, ended, foretold))
    return found


SCENARIO = Scenario(
    question="Does it matter for the next connect over the same four-tuple which side closed first?",
    sources=("RFC 9293 3.6.1 (MAY-2), 3.10.1", "RFC 6191 2", "Linux: __inet_check_established(), tcp_twsk_unique()"),
    run=_observe,
    tags=("reconnect", "reuse", "founding", "H19", "I4", "I5"),
    parameters=(Parameter("count", 3, "connects of each kind", 2, 1000),),
)
