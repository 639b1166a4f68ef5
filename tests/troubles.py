"""Troubles made for real in a private namespace, and the findings that are due there and no others.

`python tests/troubles.py` makes each of them again and keeps what was seen under tests/hosts/; names after it make
these alone.
"""

import contextlib
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from needs import require_tun
from timewait.clock import MS
from timewait.endpoint import Endpoint
from timewait.host.limits import Limits
from timewait.host.snapshot import Snapshot
from timewait.host.snapshot_file import from_text
from timewait.lab.bridge import Bridge
from timewait.lab.host import Outcome
from timewait.lab.kernel import KernelHost
from timewait.lab.program import Program
from timewait.lab.programs import Channel
from timewait.system.tun import TunSetup
from timewait.tcp import profiles
from timewait.tcp.stack import Stack

HOSTS = Path(__file__).parent / "hosts"
SERVICE = Endpoint("127.0.0.1", 5432)
RANGE = "net.ipv4.ip_local_port_range"


class Trouble(NamedTuple):
    """`make` brings it about; `due` are the ids that doctor has to find, severity behind a space.

    `during`: one more step of it, to be made again and again while doctor looks.  `limits`: where a limit of the
    machine's is too high to be reached in a test.
    """

    make: Callable[[KernelHost], None]
    due: tuple[str, ...]
    options: tuple[str, ...] = ()
    during: Callable[[KernelHost, int], None] | None = None
    limits: Limits = Limits()


def look(host: KernelHost, folder: Path, trouble: Trouble) -> Snapshot:
    """Take a snapshot of the host with the command itself, as a user would."""
    file = folder / "snapshot.json"
    command = [sys.executable, "-m", "timewait", "doctor", "--netns", str(host.pid), "--save", str(file)]
    process = subprocess.Popen(
        [*command, *trouble.options], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    for step in range(1000):
        if trouble.during is None or process.poll() is not None:
            break
        trouble.during(host, step)
        host.wait(10 * MS)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode in (0, 1, 2), complaint
    return from_text(file.read_text(), str(file))


def ends(host: KernelHost, listener: int, to: Endpoint = SERVICE) -> tuple[int, int]:
    """Connect; return both ends."""
    client = host.connect(to)
    assert client.ok, client
    return client.value, host.accept(listener).value


def spend(host: KernelHost, listener: int, count: int, *, first: str = "client", to: Endpoint = SERVICE) -> None:
    """Make and close so many connections, one after the other."""
    for _ in range(count):
        client, server = ends(host, listener, to)
        for end in (client, server) if first == "client" else (server, client):
            host.close(end)


def narrow(host: KernelHost, ports: int) -> int:
    """Leave the host so few ephemeral ports and no way of taking them over; return a listener."""
    host.set_sysctl(RANGE, f"40000 {40000 + ports - 1}")
    host.set_sysctl("net.ipv4.tcp_tw_reuse", "0")
    listener: int = host.listen(SERVICE).value
    return listener


def quiet(host: KernelHost) -> None:
    spend(host, host.listen(SERVICE).value, 3)
    ends(host, 1)


def gone(host: KernelHost) -> None:
    spend(host, narrow(host, 100), 100)
    failed: Outcome = host.connect(SERVICE)
    assert failed.error == "EADDRNOTAVAIL"


def running_out(host: KernelHost) -> None:
    spend(host, narrow(host, 100), 40)


def nearly_gone(host: KernelHost) -> None:
    listener = narrow(host, 100)
    spend(host, listener, 90)
    for _ in range(5):
        ends(host, listener)


def bound_early(host: KernelHost) -> None:
    """Four services, the source address bound with port 0: bind() fails though no destination has used a third."""
    services = [Endpoint("127.0.0.1", 5432 + number) for number in range(4)]
    narrow(host, 100)
    listeners = [1, *(host.listen(at).value for at in services[1:])]
    for number in range(100):
        client = host.connect(services[number % 4], source=Endpoint("127.0.0.1", 0))
        host.close(client.value)
        host.close(host.accept(listeners[number % 4]).value)
    failed: Outcome = host.connect(SERVICE, source=Endpoint("127.0.0.1", 0))
    assert (failed.call, failed.error) == ("bind", "EADDRINUSE")
    host.wait(5_200 * MS)


def bound_late(host: KernelHost) -> None:
    """The same with IP_BIND_ADDRESS_NO_PORT: nothing is short."""
    services = [Endpoint("127.0.0.1", 5432 + number) for number in range(4)]
    narrow(host, 100)
    listeners = [1, *(host.listen(at).value for at in services[1:])]
    for number in range(100):
        client = host.connect(services[number % 4], source=Endpoint("127.0.0.1", 0), late=True)
        host.close(client.value)
        host.close(host.accept(listeners[number % 4]).value)
    host.wait(5_200 * MS)


def bound_to_any_port(host: KernelHost) -> None:
    """One service, the source address bound with port 0, a third of the range: nobody else may have these ports."""
    listener = narrow(host, 100)
    for number in range(30):
        if number == 25:
            host.wait(5_200 * MS)  # a steady trickle, not a burst
        client = host.connect(SERVICE, source=Endpoint("127.0.0.1", 0))
        host.close(client.value)
        host.close(host.accept(listener).value)


def bound_by_number(host: KernelHost) -> None:
    """Live connections from ports that the program names itself: nobody else may have these ports."""
    listener = narrow(host, 100)
    for port in range(40000, 40030):
        assert host.connect(SERVICE, source=Endpoint("127.0.0.1", port)).ok
        host.accept(listener)


def own_range_full(host: KernelHost) -> None:
    """Sockets that ask for a quarter of the ports (IP_LOCAL_PORT_RANGE), and use them all, of either parity."""
    listener = narrow(host, 400)
    own = {"IP_LOCAL_PORT_RANGE": 40100 | 40199 << 16}
    for number in range(100):
        client = host.connect(SERVICE, options=own)
        assert client.ok
        server = host.accept(listener)
        if number < 10:
            host.close(client.value)
            host.close(server.value)
    assert host.connect(SERVICE, options=own).error == "EADDRNOTAVAIL"


def past_the_step(host: KernelHost) -> None:
    spend(host, narrow(host, 100), 60)
    host.wait(5_200 * MS)  # until the burst is no longer "now"


def held_by_live_sockets(host: KernelHost) -> None:
    listener = narrow(host, 100)
    for _ in range(70):
        ends(host, listener)


def half_closed(host: KernelHost) -> None:
    listener = host.listen(SERVICE).value
    for _ in range(60):
        client, _ = ends(host, listener)
        host.close(client)
    host.wait(100 * MS)  # for the delayed ACKs


def full_orphans(host: KernelHost) -> None:
    host.set_sysctl("net.ipv4.tcp_fin_timeout", "120")
    half_closed(host)


def lingering(host: KernelHost) -> None:
    """tcp_fin_timeout as it was, and a program that asks for more: TCP_LINGER2 of two minutes."""
    listener = host.listen(SERVICE).value
    for _ in range(60):
        client, _ = ends(host, listener)
        host.set_option(client, "TCP_LINGER2", 120)
        host.close(client)
    host.wait(100 * MS)  # for the delayed ACKs


def tracked(host: KernelHost) -> None:
    """Connection tracking holds what is closed; its limit is the machine's, and a namespace cannot lower it."""
    host.track()
    spend(host, host.listen(SERVICE).value, 300)


def accepting_only(host: KernelHost) -> None:
    """Another host opens 120 connections and closes them; this one only accepts."""
    require_tun()
    host.set_sysctl("net.ipv4.tcp_tw_reuse", "1")
    device = host.open_tun(TunSetup([("192.0.2.1", 24)]))
    with contextlib.closing(device):
        stack = Stack(profiles.get("linux"), [bytes((192, 0, 2, 2))], secret=b"tests", chance=random.Random(1))
        bridge = Bridge(device, stack)
        service = Endpoint("192.0.2.1", 80)
        listener = host.listen(service).value
        host.idle = bridge.wait_for
        for _ in range(120):
            bridge.programs.connect(service, Leaving())
            host.close(host.accept(listener).value)
    host.idle = None


class Leaving(Program):
    """Closes as soon as it is connected."""

    def opened(self, channel: Channel) -> None:
        channel.close()


def overflow(host: KernelHost) -> None:
    host.set_sysctl("net.ipv4.tcp_max_tw_buckets", "10")
    spend(host, host.listen(SERVICE).value, 50)


def overflow_to_come(host: KernelHost) -> None:
    host.set_sysctl("net.ipv4.tcp_max_tw_buckets", "8192")
    spend(host, host.listen(SERVICE).value, 900, first="server")


def two_clocks(host: KernelHost) -> None:
    """Come back over the same four-tuple with another timestamp clock, as a second host behind a NAT would.

    tcp_timestamps = 1 adds a random offset for each pair of ends, 2 adds none: about half the times the clock that
    comes second is behind.
    """
    host.listen(SERVICE)
    for number in range(40):
        come_back(host, number)


def come_back(host: KernelHost, number: int) -> None:
    """Connect twice over one four-tuple, with two clocks."""
    source = Endpoint(f"127.0.{number // 200 + 1}.{number % 200 + 1}", 20000 + number)
    for mode in ("1", "2") if number % 2 else ("2", "1"):
        host.set_sysctl("net.ipv4.tcp_timestamps", mode)
        client = host.connect(SERVICE, source=source, reuse_address=True)
        assert client.ok, client
        host.close(host.accept(1).value)
        host.close(client.value)
    host.set_sysctl("net.ipv4.tcp_timestamps", "1")


def listening_only(host: KernelHost) -> None:
    assert host.listen(SERVICE).value == 1


def without_the_flag(host: KernelHost) -> None:
    """A service that runs without SO_REUSEADDR, and closes first."""
    spend(host, host.listen(SERVICE, reuse_address=False).value, 5, first="server")


def cannot_bind(host: KernelHost) -> None:
    """The same, ended: it cannot be started again, with the flag or without."""
    without_the_flag(host)
    host.close(1)
    for flag in (False, True):
        assert host.listen(SERVICE, reuse_address=flag).error == "EADDRINUSE"


def without_timestamps(host: KernelHost) -> None:
    host.set_sysctl("net.ipv4.tcp_timestamps", "0")
    quiet(host)


def with_rfc1337(host: KernelHost) -> None:
    host.set_sysctl("net.ipv4.tcp_rfc1337", "1")


def rfc1337_without_timestamps(host: KernelHost) -> None:
    with_rfc1337(host)
    without_timestamps(host)


def listening_in_range(host: KernelHost) -> None:
    assert host.listen(Endpoint("127.0.0.1", 40000)).ok


def bounds_both_even(host: KernelHost) -> None:
    host.set_sysctl(RANGE, "40000 40100")


def short_fin_timeout(host: KernelHost) -> None:
    host.set_sysctl("net.ipv4.tcp_fin_timeout", "10")


def busy_server(host: KernelHost) -> None:
    """More than 1,000: a client port that comes round again takes over the server's TIME-WAIT."""
    spend(host, host.listen(SERVICE).value, 1100, first="server")


TROUBLES = {
    "quiet": Trouble(quiet, ()),
    "ports-gone": Trouble(gone, ("ports-gone CRITICAL",)),
    "ports-nearly-gone": Trouble(nearly_gone, ("ports-nearly-gone CRITICAL",)),
    "ports-running-out": Trouble(running_out, ("ports-running-out WARNING",)),
    "search-step": Trouble(past_the_step, ("search-step WARNING",)),
    "held-by-live-sockets": Trouble(held_by_live_sockets, ("search-step WARNING",)),
    "bind-before-connect": Trouble(bound_early, ("bind-before-connect CRITICAL",)),
    "explicit-binds": Trouble(bound_to_any_port, ("explicit-binds WARNING",)),
    "explicit-binds-live": Trouble(bound_by_number, ("explicit-binds WARNING",)),
    "own-range": Trouble(own_range_full, ("own-range CRITICAL",)),
    "bind-without-port": Trouble(bound_late, ()),
    "close-wait-leak": Trouble(half_closed, ("close-wait-leak WARNING",)),
    "fin-wait-2-full": Trouble(full_orphans, ("fin-wait-2-full WARNING", "close-wait-leak WARNING")),
    "fin-wait-2-linger2": Trouble(lingering, ("fin-wait-2-full WARNING", "close-wait-leak WARNING")),
    "conntrack-nearly-full": Trouble(tracked, ("conntrack-nearly-full WARNING",), limits=Limits(conntrack=0.001)),
    "conntrack-holds-longer": Trouble(tracked, ("conntrack-holds-longer NOTE",), limits=Limits(conntrack_longer=0.001)),
    "tw-reuse-folklore": Trouble(accepting_only, ("tw-reuse-folklore NOTE",)),
    "bucket-overflow": Trouble(overflow, ("bucket-overflow WARNING", "small-buckets NOTE")),
    "bucket-overflow-to-come": Trouble(overflow_to_come, ("bucket-overflow WARNING",)),
    "paws-time-wait": Trouble(two_clocks, ("paws-time-wait NOTE",)),
    "slow-connects": Trouble(
        *(listening_only, ("slow-connects WARNING", "paws-time-wait WARNING"), ("--interval", "1.5"), come_back)
    ),
    "restart-will-fail": Trouble(without_the_flag, ("restart-blocked WARNING",)),
    "restart-blocked": Trouble(cannot_bind, ("restart-blocked WARNING",)),
    "timestamps-off": Trouble(without_timestamps, ("timestamps-off WARNING",)),
    "rfc1337-on": Trouble(with_rfc1337, ("rfc1337-on NOTE",)),
    "rfc1337-without-timestamps": Trouble(rfc1337_without_timestamps, ("timestamps-off WARNING", "rfc1337-on WARNING")),
    "listener-in-range": Trouble(listening_in_range, ("listener-in-range NOTE",)),
    "range-parity": Trouble(bounds_both_even, ("range-parity NOTE",)),
    "fin-timeout-folklore": Trouble(short_fin_timeout, ("fin-timeout-folklore NOTE",)),
    "server-time-wait": Trouble(busy_server, ("server-time-wait NOTE",)),
}


def record() -> None:
    """Make every trouble once more and keep the snapshots."""
    import tempfile

    HOSTS.mkdir(exist_ok=True)
    for name, trouble in TROUBLES.items():
        if len(sys.argv) > 1 and name not in sys.argv[1:]:
            continue
        with KernelHost() as host, tempfile.TemporaryDirectory() as folder:
            trouble.make(host)
            look(host, Path(folder), trouble)
            (HOSTS / f"{name}.json").write_text((Path(folder) / "snapshot.json").read_text())
            print(name)


if __name__ == "__main__":
    record()
