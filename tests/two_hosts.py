"""Two engine hosts joined by a link, for tests: `client` at 10.0.0.1, `server` at 10.0.0.2."""

from timewait.clock import MS, SECOND
from timewait.endpoint import Endpoint
from timewait.lab.engine import EngineHost
from timewait.sim.link import Conditions
from timewait.sim.network import Network
from timewait.tcp import profiles
from timewait.tcp.profile import Profile

CLIENT = Endpoint("10.0.0.1", 40000)
SERVER = Endpoint("10.0.0.2", 80)
DELAY = Conditions(delay=10 * MS)


class TwoHosts:
    """A network of two hosts.  Calls take no time, so that every time in the trace is the link's or a timer's."""

    def __init__(
        self, seed: int = 1, conditions: Conditions = DELAY, profile: str | Profile = "linux", **changed: object
    ) -> None:
        values = (profiles.get(profile) if isinstance(profile, str) else profile).changed(**changed)
        self.network = Network(seed)
        nodes = [
            self.network.host(name, values, [bytes(map(int, end.address.split(".")))], mtu=conditions.mtu)
            for name, end in (("client", CLIENT), ("server", SERVER))
        ]
        self.there, self.back = self.network.link(nodes[0], nodes[1], conditions)
        self.client, self.server = (EngineHost(self.network, node, call=0) for node in nodes)
        self.listener: int = self.server.listen(SERVER).value

    def connect(self) -> tuple[int, int]:
        """Open a connection over the one four-tuple; return both ends."""
        outcome = self.client.connect(SERVER, source=CLIENT, reuse_address=True)
        assert outcome.ok, outcome
        return outcome.value, self.server.accept(self.listener).value

    def settle(self, seconds: float = 1) -> None:
        """Let time pass."""
        self.network.run(round(seconds * SECOND))

    def lines(self) -> list[str]:
        """The trace without calls and handles, as people read it."""
        assert self.network.trace is not None
        return [line for line in self.network.trace.lines() if " = " not in line]
