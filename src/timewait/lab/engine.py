"""The engine world: a host whose stack is ours, in a virtual network whose clock jumps.

Calls look blocking: each lets virtual time pass until it is done or its time is up.  Nothing here takes real time, so
a scenario with minutes of waiting ends at once.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from random import Random
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from timewait.clock import MS, SECOND, US, Duration, Instant
from timewait.endpoint import Endpoint
from timewait.errors import UnavailableError
from timewait.lab.host import PATIENCE, ConnectionInfo, InterruptedCallError, Outcome
from timewait.lab.rules import Policy
from timewait.sim.network import Network, Node
from timewait.system.conntrack import Tracked
from timewait.system.socket_table import Socket
from timewait.tcp import profiles
from timewait.tcp.connection import Connection
from timewait.tcp.events import Errno, Events, FourTuple
from timewait.tcp.profile import Profile, Reuse, SynRule, Sysctl
from timewait.tcp.settings import SettingError, parse
from timewait.tcp.states import SYN_RECEIVED, SYN_SENT
from timewait.tcp.time_wait import pack_key
from timewait.trace import Called, Trace

# What a call lasts, besides waiting: connect() on loopback takes 16 to 18 us, measured on 6.18.  Without any, two calls
# would happen at one instant, and clocks that tick in between (ISN, timestamps) would stand still.
CALL: Final = 20 * US
# Hosts were booted at some time before; clocks that count whole seconds are somewhere in theirs.
_BOOTED: Final = 86400 * SECOND

_LOOPBACK: Final = (ip_address("127.0.0.1").packed, ip_address("::1").packed)
_LOOPBACK_MTU: Final = 65535

# Counters of /proc/net/snmp; all others are of /proc/net/netstat.
_SNMP: Final = frozenset(
    {
        *("ActiveOpens", "PassiveOpens", "AttemptFails", "EstabResets", "CurrEstab"),
        *("InSegs", "OutSegs", "RetransSegs", "InErrs", "OutRsts"),
    }
)
# Socket options by the names that the contract uses -> field of the stack's options, unit of the value.
_OPTIONS: Final[dict[str, tuple[str, int]]] = {
    "SO_REUSEADDR": ("reuse_address", 0),
    "SO_REUSEPORT": ("reuse_port", 0),
    "SO_KEEPALIVE": ("keep_alive", 0),
    "TCP_NODELAY": ("no_delay", 0),
    "IP_BIND_ADDRESS_NO_PORT": ("bind_address_no_port", 0),
    "SO_SNDBUF": ("send_buffer", 1),
    "SO_RCVBUF": ("receive_buffer", 1),
    "TCP_MAXSEG": ("max_segment", 1),
    "SO_LINGER": ("linger", SECOND),
    "TCP_LINGER2": ("linger2", SECOND),
    "TCP_USER_TIMEOUT": ("user_timeout", MS),
    "TCP_KEEPIDLE": ("keep_idle", SECOND),
    "TCP_KEEPINTVL": ("keep_interval", SECOND),
    "TCP_KEEPCNT": ("keep_probes", 1),
    "IP_LOCAL_PORT_RANGE": ("local_port_range", 0),
}
# Settings that can be made on every profile, by whatever name its stack has for them.  A stack without such a setting
# is then one that was built with the other value.
_COMMON: Final = {
    "net.ipv4.tcp_timestamps": ("timestamps", Sysctl("timestamps", 1, choices={0: False, 1: True})),
    "net.ipv4.ip_local_port_range": ("ephemeral_range", Sysctl("ephemeral_range", (1, 65535), low=1, high=65535)),
}
# It means nothing where nobody is unprivileged.
_NOT_NEEDED: Final = "net.ipv4.ip_unprivileged_port_start"

_Result = TypeVar("_Result")


class EngineHost:
    """A host of the engine world; see `lab.host.Host` for what it does.  Several may share one network.

    `call`: how long each call takes, besides waiting.
    """

    def __init__(self, network: Network, node: Node, *, call: Duration = CALL) -> None:
        self.network = network
        self.node = node
        self.call = call
        self.stack = node.stack
        self._interrupted = False
        self._profile = node.stack.profile.name

    @classmethod
    def alone(cls, profile: str, seed: int = 0, *, traced: bool = False) -> Self:
        """Return a host that has only itself to talk to, on 127.0.0.1 and ::1.  UsageError: no such profile."""
        network = Network(seed, start=Random(f"{seed} booted").randrange(_BOOTED))
        if not traced:
            network.trace = None
        return cls(network, network.host("host", profiles.get(profile), _LOOPBACK, mtu=_LOOPBACK_MTU))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to end: the world is a value."""

    @property
    def trace(self) -> Trace | None:
        """The network's record; None where it is switched off."""
        return self.network.trace

    def interrupt(self) -> None:
        """Make the call under way, or else the next one, raise `InterruptedCallError`.  Safe in a signal handler."""
        self._interrupted = True
        self.network.interrupt()

    # -- how calls are made --------------------------------------------------------------------------------------------

    def _call(self, text: str, name: str, work: Callable[[], Any], about: int | FourTuple) -> Outcome:
        """Make one call: `work` returns its value or an errno, or raises `_Failed` to name another call.

        `about`: the socket's number, or the ends where there is none yet; of the value, where that is a socket.
        """
        self._check()
        began = self.network.now
        connection = self._ends(about)
        try:
            value = work()
        except _Failed as failed:
            name, value = failed.call, failed.error
        self.network.run(self.call)
        error = str(value) if isinstance(value, Errno) else ""
        if self.network.trace is not None:
            done = f"{len(value)} octets" if isinstance(value, bytes) else "done" if value is None else str(value)
            if name in ("connect", "accept") and not error:
                connection = self._ends(value)
            called = Called(self.network.now, self.node.name, text, error or done, connection)
            self.network.trace.add(called)
        return Outcome(None if error else value, name if error else "", error, began, self.network.now)

    def _ends(self, about: int | FourTuple) -> FourTuple | None:
        """Return a socket's ends, as far as it has them."""
        if isinstance(about, FourTuple):
            return about
        owner = self.stack.handles.get(about)
        if isinstance(owner, Connection):
            return owner.key
        return None if owner is None else FourTuple(owner.address, owner.port, b"", 0)

    def _check(self) -> None:
        if self._interrupted:
            self._interrupted = False
            raise InterruptedCallError

    def _perform(self, result: tuple[_Result, Events]) -> _Result:
        self.network.perform(self.node, result[1])
        return result[0]

    def _persist(self, attempt: Callable[[], Any], timeout: Duration) -> Any:
        """Make an attempt again while it gives EAGAIN, until the time is up."""
        result = attempt()
        if result is not Errno.EAGAIN:
            return result

        def done() -> bool:
            nonlocal result
            result = attempt()
            return result is not Errno.EAGAIN

        self.network.run_until(done, self.network.now + timeout)
        return result

    # -- the contract ------------------------------------------------------------------------------------------------

    def listen(
        self,
        at: Endpoint,
        *,
        reuse_address: bool = True,
        backlog: int = 128,
        options: Mapping[str, int] | None = None,
    ) -> Outcome:
        """See `Host.listen`."""

        def work() -> int:
            handle = self.stack.socket()
            self.stack.set_option(handle, reuse_address=reuse_address)
            with self._closing(handle):
                for name, value in (options or {}).items():
                    _must("setsockopt", self._set(handle, name, value))
                _must("bind", self.stack.bind(handle, _packed(at.address), at.port))
                _must("listen", self.stack.listen(handle, backlog))
            return handle

        return self._call(f"listen({at})", "listen", work, FourTuple(_packed(at.address), at.port, b"", 0))

    def connect(
        self,
        to: Endpoint,
        *,
        source: Endpoint | None = None,
        late: bool = False,
        reuse_address: bool = False,
        options: Mapping[str, int] | None = None,
        timeout: Duration = PATIENCE,
    ) -> Outcome:
        """See `Host.connect`."""

        def work() -> int:
            handle = self.stack.socket()
            self.stack.set_option(handle, reuse_address=reuse_address, bind_address_no_port=late)
            with self._closing(handle):
                for name, value in (options or {}).items():
                    _must("setsockopt", self._set(handle, name, value))
                if source is not None:
                    _must("bind", self.stack.bind(handle, _packed(source.address), source.port))
                began = self.stack.connect(handle, _packed(to.address), to.port, self.network.now)
                _must("connect", self._perform(began))
                done = self.network.run_until(lambda: not self._opening(handle), self.network.now + timeout)
                _must("connect", None if done else Errno.ETIMEDOUT)
                _must("connect", self.stack.take_error(handle))
            return handle

        own = (b"", 0) if source is None else (_packed(source.address), source.port)
        return self._call(f"connect({to})", "connect", work, FourTuple(*own, _packed(to.address), to.port))

    def _opening(self, handle: int) -> bool:
        owner = self.stack.handles.get(handle)
        return isinstance(owner, Connection) and owner.error is None and owner.state in (SYN_SENT, SYN_RECEIVED)

    @contextmanager
    def _closing(self, handle: int) -> Any:
        """Close the socket that was being prepared where a call about it fails."""
        try:
            yield
        except _Failed:
            self._perform(self.stack.close(handle, self.network.now))
            raise

    def accept(self, listener: int, *, timeout: Duration = PATIENCE) -> Outcome:
        """See `Host.accept`."""
        work = lambda: self._persist(lambda: self.stack.accept(listener), timeout)  # noqa: E731
        return self._call(f"accept({listener})", "accept", work, listener)

    def send(self, connection: int, data: bytes, *, timeout: Duration = PATIENCE) -> Outcome:
        """See `Host.send`."""

        def attempt() -> int | Errno:
            return self._perform(self.stack.send(connection, data, self.network.now))

        text = f"send({connection}, {len(data)} octets)"
        return self._call(text, "send", lambda: self._persist(attempt, timeout), connection)

    def receive(self, connection: int, limit: int = 65536, *, timeout: Duration = PATIENCE) -> Outcome:
        """See `Host.receive`."""

        def attempt() -> bytes | Errno:
            return self._perform(self.stack.recv(connection, limit, self.network.now))

        return self._call(f"recv({connection})", "recv", lambda: self._persist(attempt, timeout), connection)

    def half_close(self, connection: int) -> Outcome:
        """See `Host.half_close`."""

        def work() -> Errno | None:
            return self._perform(self.stack.shutdown(connection, self.network.now))

        return self._call(f"shutdown({connection})", "shutdown", work, connection)

    def stop_reading(self, connection: int) -> Outcome:
        """See `Host.stop_reading`."""

        def work() -> Errno | None:
            return self._perform(self.stack.shutdown(connection, self.network.now, "read"))

        return self._call(f"shutdown({connection}, SHUT_RD)", "shutdown", work, connection)

    def close(self, connection: int) -> Outcome:
        """See `Host.close`."""

        def work() -> Errno | None:
            result = self._perform(self.stack.close(connection, self.network.now))
            if result is Errno.EINPROGRESS:  # SO_LINGER: close() returns when the FIN is acknowledged or time is up
                self.network.run_until(lambda: connection not in self.stack.handles, self.network.now + 3600 * SECOND)
                return None
            return result

        return self._call(f"close({connection})", "close", work, connection)

    def abort(self, connection: int) -> Outcome:
        """See `Host.abort`."""

        def work() -> Errno | None:
            self.stack.set_option(connection, linger=0)
            return self._perform(self.stack.close(connection, self.network.now))

        return self._call(f"abort({connection})", "close", work, connection)

    def set_option(self, connection: int, name: str, value: int) -> Outcome:
        """See `Host.set_option`."""
        return self._call(
            f"setsockopt({connection}, {name}, {value})",
            "setsockopt",
            lambda: self._set(connection, name, value),
            connection,
        )

    def _set(self, handle: int, name: str, value: int) -> Errno | None:
        if name not in _OPTIONS:
            raise UnavailableError(f"unknown socket option {name}", f"known: {', '.join(_OPTIONS)}")
        field, unit = _OPTIONS[name]
        given: Any = value * unit if unit else bool(value)
        if field == "local_port_range":
            given = (value & 0xFFFF, value >> 16) if value else None
        return self.stack.set_option(handle, **{field: given})

    def info(self, connection: int) -> ConnectionInfo:
        """See `Host.info`."""
        owner = self.stack.handles.get(connection)
        timestamps = isinstance(owner, Connection) and owner.ts_ok
        return ConnectionInfo(str(self.stack.state(connection)), timestamps)

    def poll(self, connection: int) -> Sequence[str]:
        """See `Host.poll`: as Linux has it, whatever the profile."""
        return self.stack.poll(connection)

    def destroy(self, local_port: int, peer_port: int) -> Outcome:
        """See `Host.destroy`: records only, the one use that scenarios have for it."""

        def work() -> int:
            found = [(key, wait) for key, wait in self.stack.waits if (key[1], key[3]) == (local_port, peer_port)]
            for key, wait in found:
                self.stack.forget(key, pack_key(key), wait, None)
            return len(found)

        return self._call(
            f"destroy({local_port}, {peer_port})", "destroy", work, FourTuple(b"", local_port, b"", peer_port)
        )

    def object_sizes(self, names: Sequence[str]) -> dict[str, int]:
        """See `Host.object_sizes`: the engine's objects are Python's."""
        raise UnavailableError("the engine has no kernel objects to measure", "try: --world kernel")

    def track(self) -> None:
        """See `Host.track`: the engine has no packet filter."""
        raise UnavailableError("the engine has no packet filter to track connections", "try: --world kernel")

    def tracked(self) -> list[Tracked]:
        """See `Host.tracked`."""
        return []

    def wait(self, duration: Duration) -> None:
        """See `Host.wait`: the clock jumps."""
        self._check()
        self.network.run(duration)

    def now(self) -> Instant:
        """See `Host.now`: virtual nanoseconds since this world's hosts were booted."""
        return self.network.now

    def circumstances(self) -> dict[str, str]:
        """See `Host.circumstances`."""
        return {"world": "engine", "profile": self._profile, "seed": str(self.network.seed)}

    def policy(self) -> Policy:
        """See `Host.policy`: from the profile's values."""
        return policy_of(self.stack.profile)

    def sockets(self, *, local_port: int = 0, peer_port: int = 0) -> list[Socket]:
        """See `Host.sockets`."""
        records = {key for key, _ in self.stack.waits}
        found = []
        for row in self.stack.sockets():
            if (local_port and row.local_port != local_port) or (peer_port and row.remote_port != peer_port):
                continue
            mini = (row.local, row.local_port, row.remote, row.remote_port) in records
            found.append(
                Socket(
                    str(row.state),
                    _endpoint(row.local, row.local_port, row.remote),
                    _endpoint(row.remote, row.remote_port, row.local),
                    mini,
                    row.expires - self.network.now if mini and row.expires is not None else None,
                    row.receive_queue,
                    row.send_queue,
                )
            )
        return found

    def counters(self) -> dict[str, int]:
        """See `Host.counters`: names as a kernel has them in /proc/net."""
        found = {f"{'Tcp' if name in _SNMP else 'TcpExt'}.{name}": n for name, n in self.stack.counters.items()}
        found["sockstat.TCP.tw"] = len(self.stack.waits)
        return found

    def sysctl(self, name: str) -> str | None:
        """See `Host.sysctl`: what the profile's stack has."""
        own = self._own_name(name)
        if own is not None:
            value: Any = self.stack.get_sysctl(own)
        elif name in _COMMON:
            value = getattr(self.stack.profile, _COMMON[name][0])
        else:
            return None
        if isinstance(value, tuple):
            return " ".join(map(str, value))
        return str(int(value)) if isinstance(value, bool) else str(value)

    def set_sysctl(self, name: str, value: str) -> None:
        """See `Host.set_sysctl`."""
        if name == _NOT_NEEDED:
            return
        own = self._own_name(name)
        try:
            if own is None and name in _COMMON:
                field, sysctl = _COMMON[name]
                changed = self.stack.profile.changed(**{field: parse(name, sysctl, value)})
                self.stack.shared.profile = changed
            else:
                self.stack.set_sysctl(own or name, value)
        except SettingError as error:
            raise UnavailableError(error.what, error.hint) from None

    def _own_name(self, name: str) -> str | None:
        """Return the name of a setting in this profile's stack; None if it has no such setting."""
        sysctls = self.stack.profile.sysctls
        if name in sysctls:
            return name
        field = _COMMON[name][0] if name in _COMMON else ""
        return next((own for own, sysctl in sysctls.items() if sysctl.field == field), None)


class _Failed(Exception):  # noqa: N818 - not an error of ours: the outcome of a call
    def __init__(self, call: str, error: Errno) -> None:
        super().__init__(call)
        self.call = call
        self.error = error


def _must(call: str, error: Errno | None) -> None:
    if error is not None:
        raise _Failed(call, error)


def _packed(address: str) -> bytes:
    known = ip_address(address)
    return b"" if known.is_unspecified else known.packed


def _endpoint(address: bytes, port: int, other: bytes) -> Endpoint:
    if address:
        return Endpoint(str(ip_address(address)), port)
    return Endpoint("::" if len(other) == 16 else "0.0.0.0", port)


# -- what the rules have to know of a profile --------------------------------------------------------------------------

_REUSE_SYSCTL: Final = "net.ipv4.tcp_tw_reuse"
_REUSE: Final = {Reuse.NEVER: 0, Reuse.ALWAYS: 1, Reuse.LOOPBACK: 2}


def policy_of(profile: Profile) -> Policy:
    """Return a profile's answers to the rules' questions, each deciding value with its source."""
    return Policy(
        wait=profile.time_wait,
        recycled=profile.rto_min * 7 // 2 if profile.tw_recycle else None,
        bound=profile.reuse_bound,
        needs_timestamps=profile.reuse_needs_timestamps,
        fin_wait_2=profile.reuse_fin_wait_2,
        reuse=_REUSE[profile.reuse_ephemeral],
        switch=_REUSE_SYSCTL in profile.sysctls,
        delay=profile.reuse_delay,
        whole_seconds=profile.reuse_delay_whole_seconds,
        reopens=profile.tw_syn is not SynRule.NEVER,
        values={name: (getattr(profile, name), source) for name, source in profile.sources.items()},
    )


def reuse_settings(profile: Profile) -> tuple[int | None, ...]:
    """Return the values that tcp_tw_reuse can have in a profile; (None,) where there is no such setting."""
    sysctl = profile.sysctls.get(_REUSE_SYSCTL)
    if sysctl is None:
        return (None,)
    return tuple(sysctl.choices) if sysctl.choices is not None else (0, 1, 2)
