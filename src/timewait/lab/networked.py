"""`NetworkedHost`: a kernel's host on the network, in whose trace its calls and states are recorded."""

from collections.abc import Sequence
from ipaddress import ip_address

from timewait.lab.live import LiveNetwork
from timewait.lab.recorded import RecordedHost
from timewait.system.tun import TunSetup
from timewait.trace import Trace


class NetworkedHost(RecordedHost):
    """A host that reaches a network through a device of its namespace."""

    def __init__(self, network: LiveNetwork, name: str, addresses: Sequence[tuple[str, int]]) -> None:
        """Start the host and its device.  Raises `UnavailableError` where this user may not."""
        self.network: LiveNetwork | None = None
        super().__init__(name)
        try:
            device = self.open_device(TunSetup(addresses))
            network.attach(name, device, [ip_address(address).packed for address, _ in addresses])
        except BaseException:
            self.end()
            raise
        self.network = network
        self.idle = network.wait_for

    @property
    def trace(self) -> Trace | None:
        """The network's."""
        return None if self.network is None else self.network.trace

    def interrupt(self) -> None:
        """See `KernelHost.interrupt`."""
        super().interrupt()
        if self.network is not None:
            self.network.interrupt()
