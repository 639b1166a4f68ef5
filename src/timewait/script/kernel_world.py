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
from typing import Final

from timewait.clock import MS, Duration, Instant
from timewait.errors import UsageError
from timewait.lab.kernel import KernelHost
from timewait.script import kernel_info
from timewait.script.addresses import addresses_of, mtu_of
from timewait.script.calls import evaluate
from timewait.script.kernel_calls import CALLS, Out, nothing
from timewait.script.mistake import near
from timewait.script.syntax import Call, Expression, Script
from timewait.script.world import CommandResult, Returned, Seen, UnknownCallError, UnknownCommandError
from timewait.system.process import Ended
from timewait.system.tun import TunSetup
from timewait.wire import icmp, ip, vnet

# A call that returns at once has done so by then, on a busy machine too.
_AT_ONCE: Final = 200 * MS
# One that is meant to block is left alone sooner: what follows in the script is due.
_BLOCKS: Final = 2 * MS
_LONGEST_COMMAND: Final = 60
_CONGESTION_CONTROL: Final = "net.ipv4.tcp_congestion_control"
# How often, and for how many milliseconds each time, a new device is asked whether it works.
_READY_TRIES: Final = 50
_READY_PATIENCE: Final = 20
# packetdrill tells its commands its own process number, which for a shell of its own is $PPID: helpers of test suites
# name files by it.
_OWN_NUMBER: Final = "PACKETDRILL_PID=$PPID; export PACKETDRILL_PID\n"
# SO_MEMINFO: the numbers of include/uapi/linux/sock_diag.h, in order.
_SO_MEMINFO: Final = 55
_MEMORY: Final = (
    *("RMEM_ALLOC", "RCVBUF", "WMEM_ALLOC", "SNDBUF", "FWD_ALLOC", "WMEM_QUEUED", "OPTMEM", "BACKLOG", "DROPS"),
)


class KernelWorld:
    """The kernel under a script.  Raises `UnavailableError` where there is no namespace or TUN device to be had."""

    def __init__(
        self,
        script: Script,
        *,
        allow_shell: bool,
        folder: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """`folder`: where commands run; None: where this process does.  `settings`: sysctls of the namespace.

        Raises `UnavailableError` for a setting that a namespace has not, or cannot have.
        """
        self.virtual = False
        self.system = "linux"
        self.stack = f"Linux {os.uname().release}"
        self.addresses = addresses_of(script.options)
        self.allow_shell = allow_shell
        self.folder = folder
        self._segment_size = script.options.mss or 0
        self.local = str(ip_address(self.addresses.local))
        self.remote = str(ip_address(self.addresses.remote))
        self._sent: deque[tuple[Instant, bytes]] = deque()
        self._began: Instant | None = None
        self._out: Out = nothing
        self.watched: dict[int, dict[str, Expression]] = {}
        self.host = KernelHost()
        try:
            bits = 8 * len(self.addresses.local)
            self._device = self.host.open_tun(TunSetup([(self.local, bits)], mtu_of(script.options), offload=True))
        except BaseException:
            self.host.end()
            raise
        self._congestion = ""
        self._poll = select.poll()
        self._poll.register(self._device, select.POLLIN)
        self.host.route(self._device.name, self.remote)
        self.host.idle = self._read_until
        if bits == 128:
            self._await_ready()
        try:
            for name, value in (settings or {}).items():
                self._set(name, value)
        except BaseException:
            self.close()
            raise

    def _set(self, name: str, value: str) -> None:
        """Make a setting.  A namespace's default may only be what every user may choose; a socket's is free."""
        if name == _CONGESTION_CONTROL:
            self._congestion = value
        else:
            self.host.set_sysctl(name, value)

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

    def began_at(self) -> Instant:
        """Return when the script began, in nanoseconds since 1970, as packet timestamps count."""
        return time.time_ns() - self.now()

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
        ask = CALLS.get(call.name)
        if ask is None:
            raise UnknownCallError(f"the kernel's world has no call {call.name}", near(call.name, CALLS, "it has"))
        try:
            name, arguments, read = ask(self, call)
        except IndexError:
            raise UnknownCallError(f"{call.name}: arguments are missing ({len(call.arguments)} given)") from None
        self._out = read
        ended = self.host.system_call(name, arguments, _BLOCKS if blocking else _AT_ONCE)
        if call.name == "socket" and self._congestion and ended is not None and not ended.error:
            self._choose_congestion_control(ended.value)
        return self._returned(ended)

    def _choose_congestion_control(self, descriptor: int) -> None:
        """Give a new socket the one asked for; those that it accepts have it from there."""
        chosen = self.host.system_call("setsockopt", (descriptor, 6, 13, self._congestion.encode()), _AT_ONCE)
        if chosen is None or chosen.error:
            raise UsageError(
                f"{_CONGESTION_CONTROL} = {self._congestion}: this kernel gives it to no socket",
                "it has those of net.ipv4.tcp_available_congestion_control",
            )

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
        ended = self.host.meanwhile("getsockopt", (handle, 6, 11, kernel_info.INFO_SIZE))
        if ended.error:
            raise UnknownCallError(f"descriptor {handle} is no connection")
        info = kernel_info.fields(ended.out)
        memory = self.host.meanwhile("getsockopt", (handle, 1, _SO_MEMINFO, 4 * len(_MEMORY)))
        if not memory.error:
            values = memoryview(memory.out[: len(memory.out) // 4 * 4]).cast("I")
            info |= {f"SK_MEMINFO_{name}": value for name, value in zip(_MEMORY, values, strict=False)}
        return info

    def close(self) -> None:
        """End the program and its namespace."""
        self._device.close()
        self.host.end()
