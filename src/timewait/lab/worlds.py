"""Worlds made: the hosts of a scenario, all of one kind or mixed, and the network between them.

Addresses are those of documentation (RFC 5737, RFC 3849), in the order in which a scenario names its ends.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from ipaddress import ip_address
from itertools import combinations
from random import Random
from typing import Any, Final

from timewait.clock import SECOND, US
from timewait.lab.engine import CALL, EngineHost
from timewait.lab.kernel import KernelHost
from timewait.lab.live import LiveNetwork
from timewait.lab.networked import NetworkedHost
from timewait.lab.recorded import LoopbackHost
from timewait.lab.scenario import ENGINE, Scenario
from timewait.lab.stage import Stage
from timewait.sim.link import PERFECT, Conditions
from timewait.sim.network import Network, Wire
from timewait.tcp import profiles

# Where time is virtual a segment takes this long, about as long as through a device: clocks tick meanwhile.
_VIRTUAL: Final = Conditions(delay=50 * US)
_BOOTED: Final = 86400 * SECOND
_LOOPBACK: Final = (ip_address("127.0.0.1").packed, ip_address("::1").packed)


def stage(
    scenario: Scenario, world: str, ends: ExitStack, *, profile: str, seed: int, engine: str = "", traced: bool = False
) -> Stage:
    """Make a world for a scenario; `ends` ends it.  `engine`: which host of a bridge is the engine.

    `traced`: whether a host alone is recorded too; a network always is.  Raises `UnavailableError`.
    """
    if not scenario.networked:
        (name,) = scenario.hosts
        alone: Any
        if world == ENGINE:
            alone = EngineHost.alone(profile, seed, traced=traced)
        else:
            alone = LoopbackHost(name) if traced else KernelHost()
        return Stage({name: ends.enter_context(alone)})
    network = _network(world, seed)
    if isinstance(network, LiveNetwork):
        ends.callback(network.close)
    hosts: dict[str, Any] = {}
    for number, name in enumerate((*scenario.hosts, *scenario.wires), 1):
        addresses = (f"192.0.2.{number}", 24), (f"2001:db8::{number}", 64)
        own = packed(addresses)
        if name in scenario.wires:
            network.add(Wire(name, own))
        elif world == ENGINE or name == engine:
            node = network.host(name, profiles.get(profile), [*own, *_LOOPBACK])
            hosts[name] = EngineHost(network, node, call=CALL if world == ENGINE else 0)
        else:
            assert isinstance(network, LiveNetwork)
            hosts[name] = ends.enter_context(NetworkedHost(network, name, addresses))
    for one, other in combinations(network.ends.values(), 2):
        network.link(one, other, _VIRTUAL if world == ENGINE else PERFECT)
    if network.trace is not None:
        network.trace.zero = network.now
    return Stage(hosts, network)


def packed(addresses: Sequence[tuple[str, int]]) -> list[bytes]:
    """Return addresses as segments have them, without the lengths of their prefixes."""
    return [ip_address(address).packed for address, _ in addresses]


def _network(world: str, seed: int) -> Network:
    if world == ENGINE:
        return Network(seed, start=Random(f"{seed} booted").randrange(_BOOTED))
    return LiveNetwork(seed)
