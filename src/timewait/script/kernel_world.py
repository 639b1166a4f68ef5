"""`KernelWorld`: the local kernel as the stack under test, in a namespace of its own, over a TUN device, in real time.

A `World`.  The script is the far side of the device, with offload as packetdrill's: a segment may have 64 KB.  Its
system calls are made by a program inside the namespace (`system.process`).  What the stack sends is stamped when it is
read, which goes on while a call is under way.
"""

import os
import select
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from struct import Struct as Layout
from typing import Any, Final

from timewait.clock import MS, Duration, Instant
from timewait.lab.kernel import KernelHost
from timewait.script.addresses import addresses_of, mtu_of
from timewait.script.calls import evaluate
from timewait.script.mistake import near
from timewait.script.syntax import Anything, Apply, Array, Call, Expression, Number, Script, Struct, Text, Word
from timewait.script.world import CommandResult, Returned, Seen, UnknownCallError, UnknownCommandError
from timewait.system.process import Ended
from timewait.system.tun import TunSetup
from timewait.wire import icmp, ip, vnet

# A call that returns at once has done so by then, on a busy machine too.
_AT_ONCE: Final = 200 * MS
# One that is meant to block is left alone sooner: what follows in the script is due.
_BLOCKS: Final = 2 * MS
_LONGEST_COMMAND: Final = 60
# How often, and for how many milliseconds each time, a new device is asked whether it works.
_READY_TRIES: Final = 50
_READY_PATIENCE: Final = 20
# packetdrill tells its commands its own process number, which for a shell of its own is $PPID: helpers of test suites
# name files by it.
_OWN_NUMBER: Final = "PACKETDRILL_PID=$PPID; export PACKETDRILL_PID\n"
# struct tcp_info, include/uapi/linux/tcp.h: eight octets of which two hold bit fields, then 32-bit numbers.
_INFO_SIZE: Final = 256
_INFO_OCTETS: Final = ("state", "ca_state", "retransmits", "probes", "backoff", "options")
_INFO_WORDS: Final = (
    *("rto", "ato", "snd_mss", "rcv_mss", "unacked", "sacked", "lost", "retrans", "fackets"),
    *("last_data_sent", "last_ack_sent", "last_data_recv", "last_ack_recv"),
    *("pmtu", "rcv_ssthresh", "rtt", "rttvar", "snd_ssthresh", "snd_cwnd", "advmss", "reordering"),
    *("rcv_rtt", "rcv_space", "total_retrans"),
)
_INFO_LONGS: Final = ("pacing_rate", "max_pacing_rate", "bytes_acked", "bytes_received")
_INFO_MORE: Final = ("segs_out", "segs_in", "notsent_bytes", "min_rtt", "data_segs_in", "data_segs_out")
_INFO_TIMES: Final = ("delivery_rate", "busy_time", "rwnd_limited", "sndbuf_limited")
_INFO_DELIVERED: Final = ("delivered", "delivered_ce")
_INFO_BYTES: Final = ("bytes_sent", "bytes_retrans")
_INFO_LAST: Final = ("dsack_dups", "reord_seen", "rcv_ooopack", "snd_wnd", "rcv_wnd", "rehash")
_WORD: Final = Layout("I")
_LONG: Final = Layout("Q")
_INFO_LAYOUT: Final = (
    *((_INFO_WORDS, _WORD), (_INFO_LONGS, _LONG), (_INFO_MORE, _WORD), (_INFO_TIMES, _LONG)),
    *((_INFO_DELIVERED, _WORD), (_INFO_BYTES, _LONG), (_INFO_LAST, _WORD)),
)
# SO_MEMINFO: the numbers of include/uapi/linux/sock_diag.h, in order.
_SO_MEMINFO: Final = 55
_MEMORY: Final = (
    *("RMEM_ALLOC", "RCVBUF", "WMEM_ALLOC", "SNDBUF", "FWD_ALLOC", "WMEM_QUEUED", "OPTMEM", "BACKLOG", "DROPS"),
)
_PAIR: Final = Layout("ii")
_TIME: Final = Layout("qq")
_INT: Final = Layout("i")


class KernelWorld:
    """The kernel under a script.  Raises `UnavailableError` where there is no namespace or TUN device to be had."""

    def __init__(self, script: Script, *, allow_shell: bool, folder: Path | None = None) -> None:
        """`folder`: where commands run; None: where this process does."""
        self.virtual = False
        self.system = "linux"
        self.stack = f"Linux {os.uname().release}"
        self.addresses = addresses_of(script.options)
        self.allow_shell = allow_shell
        self.folder = folder
        self._segment_size = script.options.mss or 0
        self._local = str(ip_address(self.addresses.local))
        self._remote = str(ip_address(self.addresses.remote))
        self._sent: deque[tuple[Instant, bytes]] = deque()
        self._began: Instant | None = None
        self._out: _Out = _nothing
        self.watched: dict[int, dict[str, Expression]] = {}
        self.host = KernelHost()
        try:
            bits = 8 * len(self.addresses.local)
            self._device = self.host.open_tun(TunSetup([(self._local, bits)], mtu_of(script.options), offload=True))
        except BaseException:
            self.host.end()
            raise
        self._poll = select.poll()
        self._poll.register(self._device, select.POLLIN)
        self.host.route(self._device.name, self._remote)
        self.host.idle = self._read_until
        if bits == 128:
            self._await_ready()

    def _await_ready(self) -> None:
        """Wait until IPv6 works on the new device, which may take the kernel a moment after it is up."""
        request = vnet.plain(icmp.echo_request(self.addresses.remote, self.addresses.local))
        for _ in range(_READY_TRIES):
            self._device.send(request)
            self._poll.poll(_READY_PATIENCE)
            while data := self._device.receive():
                if icmp.is_echo_reply(vnet.complete(data)):
                    return

    # --- Time

    def now(self) -> Duration:
        """Return the time since the script began, which is when it was first asked for."""
        now = time.monotonic_ns()
        if self._began is None:
            self._began = now
        return now - self._began

    def wait_until(self, time: Duration) -> None:
        """Let time pass up to `time`."""
        self._read(lambda: False, time)

    # --- Packets

    def inject(self, packet: bytes) -> None:
        """Deliver an IP packet to the stack, now."""
        self.now()
        self._device.send(vnet.plain(packet, self._segment_size if ip.parse(packet).protocol == ip.TCP else 0))
        self._take()

    def next_packet(self, patience: Duration) -> Seen | None:
        """Return the oldest packet not yet taken, waiting until the time `patience`."""
        self._read(lambda: bool(self._sent), patience)
        if not self._sent:
            return None
        stamp, packet = self._sent.popleft()
        return Seen(stamp - (self._began or stamp), packet)

    def _read(self, until: Callable[[], bool], patience: Duration) -> None:
        while not until():
            left = patience - self.now()
            if left <= 0:
                self._take()
                return
            # poll() counts in milliseconds: the last one is waited out by asking again and again.
            self._poll.poll(max(0, left // MS))
            self._take()

    def _read_until(self, descriptor: int) -> None:
        """Take packets until `descriptor` is readable."""
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.register(self._device, select.POLLIN)
        while True:
            ready = {number for number, _ in poll.poll()}
            self._take()
            if descriptor in ready:
                return

    def _take(self) -> None:
        while data := self._device.receive():
            packet = vnet.complete(data)
            # A new device speaks of itself, and a host answers what is no TCP: no script expects that.
            if packet[9 if packet[0] >> 4 == 4 else 6] == ip.TCP:
                self._sent.append((time.monotonic_ns(), packet))

    # --- Calls

    def call(self, call: Call, *, blocking: bool = False) -> Returned | None:
        """Make a call; None if it did not return at once: `finish` has its end.  See `world.World.call`."""
        self.now()
        ask = _CALLS.get(call.name)
        if ask is None:
            raise UnknownCallError(f"the kernel's world has no call {call.name}", near(call.name, _CALLS, "it has"))
        if call.name in _TAKES_BUFFER and call.arguments[1:2] == (Word("NULL"),):
            raise UnknownCallError(f"{call.name}: a buffer that is nowhere is the engine's to play", "--world engine")
        try:
            name, arguments, read = ask(self, call)
        except IndexError:
            raise UnknownCallError(f"{call.name}: arguments are missing ({len(call.arguments)} given)") from None
        self._out = read
        return self._returned(self.host.system_call(name, arguments, _BLOCKS if blocking else _AT_ONCE))

    def finish(self, patience: Duration) -> Returned | None:
        """Return how the blocking call ended, waiting until the time `patience`; None if it still blocks."""
        return self._returned(self.host.finish(max(0, patience - self.now())))

    def _returned(self, ended: Ended | None) -> Returned | None:
        if ended is None:
            return None
        began = self._began or 0
        out = None if ended.error else self._out(ended.out)
        return Returned(ended.value, ended.began - began, ended.ended - began, ended.error, out)

    def number(self, call: Call, index: int) -> int:
        """Return a number among the arguments."""
        return evaluate(call.arguments[index], self.system)

    # --- Everything else

    def command(self, text: str) -> CommandResult:
        """Run a command inside the namespace, where that is allowed."""
        if not self.allow_shell:
            raise UnknownCommandError(
                f"`{text}` is a command for the shell, and none is allowed",
                "--allow-shell runs a script's commands inside its namespace; read them first",
            )
        with self.host.start(
            ["sh", "-c", _OWN_NUMBER + text],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as shell:
            try:
                output, _ = shell.communicate(timeout=_LONGEST_COMMAND)
            except subprocess.TimeoutExpired:
                shell.kill()
                return CommandResult(f"still running after {_LONGEST_COMMAND} s", 124)
        self._take()
        return CommandResult(output.decode(errors="replace"), shell.returncode)

    def tcp_info(self, handle: int) -> Mapping[str, int]:
        """Return the fields of tcp_info of a descriptor of the program."""
        ended = self.host.system_call("getsockopt", (handle, 6, 11, _INFO_SIZE), _AT_ONCE)
        if ended is None or ended.error:
            raise UnknownCallError(f"descriptor {handle} is no connection")
        info = _info(ended.out)
        memory = self.host.system_call("getsockopt", (handle, 1, _SO_MEMINFO, 4 * len(_MEMORY)), _AT_ONCE)
        if memory is not None and not memory.error:
            values = memoryview(memory.out[: len(memory.out) // 4 * 4]).cast("I")
            info |= {f"SK_MEMINFO_{name}": value for name, value in zip(_MEMORY, values, strict=False)}
        return info

    def close(self) -> None:
        """End the program and its namespace."""
        self._device.close()
        self.host.end()


def _info(data: bytes) -> dict[str, int]:
    values = dict(zip(_INFO_OCTETS, data, strict=False))
    values |= {"snd_wscale": data[6] & 15, "rcv_wscale": data[6] >> 4}
    at = 8
    for names, layout in _INFO_LAYOUT:
        for name in names:
            if at + layout.size <= len(data):
                (values[name],) = layout.unpack_from(data, at)
            at += layout.size
    return {f"tcpi_{name}": value for name, value in values.items()}


# --- How each call is asked for: its name and plain arguments, and what becomes of what it wrote

_Out = Callable[[Any], Mapping[int, Expression] | None]
_Asked = tuple[str, tuple[Any, ...], _Out]


def _nothing(_: Any) -> None:
    return None


def _socket(world: KernelWorld, call: Call) -> _Asked:
    given = call.arguments[0]
    family = (10 if ":" in world._local else 2) if isinstance(given, Anything) else world.number(call, 0)
    return "socket", (family, world.number(call, 1), world.number(call, 2)), _nothing


def _bind(world: KernelWorld, call: Call) -> _Asked:
    return "bind", (world.number(call, 0), world._local, world.addresses.bind_port), _nothing


def _connect(world: KernelWorld, call: Call) -> _Asked:
    return "connect", (world.number(call, 0), world._remote, world.addresses.connect_port), _nothing


def _accept(world: KernelWorld, call: Call) -> _Asked:
    return "accept", (world.number(call, 0), world.number(call, 3) if call.name == "accept4" else 0), _nothing


def _numbers(name: str, *at: int) -> Callable[[KernelWorld, Call], _Asked]:
    """Return how a call is asked for whose arguments at these places are numbers; 0 where one is left out."""

    def asked(world: KernelWorld, call: Call) -> _Asked:
        return name, tuple(world.number(call, each) if each < len(call.arguments) else 0 for each in at), _nothing

    return asked


def _vector(name: str, flags_at: int | None) -> Callable[[KernelWorld, Call], _Asked]:
    def asked(world: KernelWorld, call: Call) -> _Asked:
        flags = 0 if flags_at is None else world.number(call, flags_at)
        return name, (world.number(call, 0), vector_size(call.arguments[1]), flags), _nothing

    return asked


def vector_size(value: Expression) -> int:
    """Return how many octets an iovec, or the one in a msghdr, has room for."""
    match value:
        case Array(items):
            return sum(map(vector_size, items))
        case Struct(fields):
            for name, each in fields.items():
                if name == "msg_iov":
                    return vector_size(each.arguments[-1] if isinstance(each, Apply) else each)
            sizes = [each.value for each in fields.values() if isinstance(each, Number)]
            if sizes:
                return sizes[-1]
    raise UnknownCallError("an iovec is wanted: [{..., 1000}, {..., 500}]")


def _ioctl(world: KernelWorld, call: Call) -> _Asked:
    command = world.number(call, 1)
    argument = world.number(call, 2) if command == 0x5421 else 0
    return "ioctl", (world.number(call, 0), command, argument), _pointed(2)


def _pointed(index: int) -> _Out:
    return lambda value: None if value is None else {index: Array((Number(value),))}


def _getsockopt(world: KernelWorld, call: Call) -> _Asked:
    level, name = world.number(call, 1), world.number(call, 2)
    kind = _KINDS.get((level, name), _INT)
    size = _INFO_SIZE if kind == "text" or not isinstance(kind, Layout) else kind.size

    def read(data: bytes) -> Mapping[int, Expression]:
        return {3: _decoded(kind, data), 4: Array((Number(len(data)),))}

    return "getsockopt", (world.number(call, 0), level, name, size), read


# (level, option) -> the layout of what is no int.  include/uapi/asm-generic/socket.h, include/uapi/linux/tcp.h
_KINDS: Final[Mapping[tuple[int, int], Any]] = {
    (1, 13): _PAIR,  # SO_LINGER
    (1, 20): _TIME,  # SO_RCVTIMEO
    (1, 21): _TIME,  # SO_SNDTIMEO
    (6, 13): "text",  # TCP_CONGESTION
    (6, 11): "info",  # TCP_INFO
}
_FIELDS: Final = {_PAIR: ("onoff", "linger"), _TIME: ("tv_sec", "tv_usec")}


def _decoded(kind: Any, data: bytes) -> Expression:
    if kind == "text":
        return Text(data.rstrip(b"\0").decode(errors="replace"))
    if kind == "info":
        return Struct({name: Number(value) for name, value in _info(data).items()})
    if kind in _FIELDS:
        return Struct(dict(zip(_FIELDS[kind], map(Number, kind.unpack_from(data)), strict=True)))
    return Array((Number(_INT.unpack_from(data)[0]),))


def _setsockopt(world: KernelWorld, call: Call) -> _Asked:
    value = call.arguments[3]
    match value:
        case Text(text):
            data = text.encode()
        case Array((Text(text),)):
            data = text.encode()
        case Struct(fields):
            numbers = [evaluate(each, world.system) for each in fields.values()]
            kind = _KINDS.get((world.number(call, 1), world.number(call, 2)))
            if not isinstance(kind, Layout) or len(numbers) != 2:
                raise UnknownCallError("setsockopt: this option takes no structure")
            data = kind.pack(*numbers)
        case _:
            data = _INT.pack(_signed(evaluate(value, world.system)))
    return "setsockopt", (world.number(call, 0), world.number(call, 1), world.number(call, 2), data), _nothing


def _signed(number: int) -> int:
    number &= 0xFFFF_FFFF
    return number - (number >> 31 << 32)


def _poll(world: KernelWorld, call: Call) -> _Asked:
    wanted = call.arguments[0]
    if not isinstance(wanted, Array) or not all(isinstance(each, Struct) for each in wanted.items):
        raise UnknownCallError("poll: an array of {fd=, events=, revents=} is wanted")
    items = [each for each in wanted.items if isinstance(each, Struct)]
    pairs = [
        (evaluate(item.fields["fd"], world.system), evaluate(item.fields.get("events", Number(0)), world.system))
        for item in items
    ]

    def read(found: dict[int, int]) -> Mapping[int, Expression]:
        seen = zip(items, pairs, strict=True)
        return {0: Array(tuple(Struct({**item.fields, "revents": Number(found.get(at, 0))}) for item, (at, _) in seen))}

    return "poll", (pairs, world.number(call, 2)), read


def _epoll_ctl(world: KernelWorld, call: Call) -> _Asked:
    operation, number = world.number(call, 1), world.number(call, 2)
    events = 0
    if operation != 2:
        event = call.arguments[3]
        if not isinstance(event, Struct) or "events" not in event.fields:
            raise UnknownCallError("epoll_ctl: {events=, fd=} is wanted")
        events = evaluate(event.fields["events"], world.system)
        world.watched[number] = {name: each for name, each in event.fields.items() if name != "events"}
    return "epoll_ctl", (world.number(call, 0), operation, number, events), _nothing


def _epoll_wait(world: KernelWorld, call: Call) -> _Asked:
    def read(found: list[tuple[int, int]]) -> Mapping[int, Expression] | None:
        events = tuple(Struct({"events": Number(mask), **world.watched.get(number, {})}) for number, mask in found)
        return {1: events[0] if len(events) == 1 else Array(events)} if events else None

    return "epoll_wait", (world.number(call, 0), world.number(call, 2), world.number(call, 3)), read


def _epoll_create(world: KernelWorld, call: Call) -> _Asked:
    return "epoll_create", (), _nothing


_TAKES_BUFFER: Final = frozenset({"read", "recv", "recvfrom", "write", "send", "sendto"})
_CALLS: Final[Mapping[str, Callable[[KernelWorld, Call], _Asked]]] = {
    "socket": _socket,
    "bind": _bind,
    "listen": _numbers("listen", 0, 1),
    "accept": _accept,
    "accept4": _accept,
    "connect": _connect,
    "read": _numbers("receive", 0, 2, 9),
    "recv": _numbers("receive", 0, 2, 3),
    "recvfrom": _numbers("receive", 0, 2, 3),
    "readv": _vector("receive", None),
    "recvmsg": _vector("receive", 2),
    "write": _numbers("send", 0, 2, 9),
    "send": _numbers("send", 0, 2, 3),
    "sendto": _numbers("send", 0, 2, 3),
    "writev": _vector("send", None),
    "sendmsg": _vector("send", 2),
    "fcntl": _numbers("fcntl", 0, 1, 2),
    "ioctl": _ioctl,
    "getsockopt": _getsockopt,
    "setsockopt": _setsockopt,
    "shutdown": _numbers("shutdown", 0, 1),
    "close": _numbers("close", 0),
    "poll": _poll,
    "epoll_create": _epoll_create,
    "epoll_create1": _epoll_create,
    "epoll_ctl": _epoll_ctl,
    "epoll_wait": _epoll_wait,
}
