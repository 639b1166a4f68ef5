"""`NetworkedHost`: a kernel's host on the network, whose calls and states the trace records.

A kernel tells its states only who asks: they are looked up after each call and whenever the scenario looks.  Passing
ones may be missed; a time is that of the look.
"""

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any, Final

from timewait.endpoint import Endpoint
from timewait.lab.kernel import KernelHost
from timewait.lab.live import LiveNetwork
from timewait.system.agent import Answer
from timewait.system.sock_diag import ALL_STATES
from timewait.system.socket_table import Socket
from timewait.system.tun import TunSetup
from timewait.tcp.events import Entered, FourTuple
from timewait.tcp.states import State
from timewait.trace import Called, Happened

_STATES: Final = {str(state): state for state in State}
# The system call of each operation that is one, and the argument that says what it is about.
_CALLS: Final = {
    "connect": "connect",
    "listen": "listen",
    "accept": "accept",
    "send": "send",
    "receive": "recv",
    "half_close": "shutdown",
    "close": "close",
    "abort": "abort",
    "set_option": "setsockopt",
}


class NetworkedHost(KernelHost):
    """A host that reaches a network through a device of its namespace."""

    def __init__(self, network: LiveNetwork, name: str, addresses: Sequence[tuple[str, int]]) -> None:
        """Start the host and its device.  Raises `UnavailableError` where this user may not."""
        super().__init__()
        self.network = network
        self.name = name
        self._states: dict[FourTuple, State] = {}
        try:
            device = self.open_tun(TunSetup(addresses))
            network.attach(name, device, [ip_address(address).packed for address, _ in addresses])
        except BaseException:
            self.end()
            raise
        self.idle = network.wait_for

    def interrupt(self) -> None:
        """See `KernelHost.interrupt`."""
        super().interrupt()
        self.network.interrupt()

    def _ask(self, operation: str, **arguments: Any) -> Any:
        answer = super()._ask(operation, **arguments)
        trace = self.network.trace
        if trace is None:
            return answer
        if operation == "sockets" and not arguments["local_port"] and not arguments["peer_port"]:
            self._note(answer)
        elif operation in _CALLS:
            text = f"{_CALLS[operation]}({_about(arguments)})"
            trace.entries.append(Called(self.network.now, self.name, text, _result(answer)))
            self.look()
        return answer

    def look(self) -> None:
        """Record what states the connections are in, where they changed."""
        self._note(super()._ask("sockets", mask=ALL_STATES, local_port=0, peer_port=0))

    def sockets(self, *, local_port: int = 0, peer_port: int = 0) -> list[Socket]:
        """See `Host.sockets`; a look that is recorded."""
        found = super().sockets()
        return [row for row in found if local_port in (0, row.local.port) and peer_port in (0, row.peer.port)]

    def _note(self, rows: Sequence[Socket]) -> None:
        trace = self.network.trace
        if trace is None:
            return
        now = self.network.now
        found = {}
        for row in rows:
            if row.state == "LISTEN":
                continue
            name = FourTuple(*_end(row.local), *_end(row.peer))
            state = found[name] = _STATES[row.state]
            if self._states.get(name) is not state:
                until = None if row.time_left is None else now + row.time_left
                trace.entries.append(Happened(now, self.name, Entered(name, state, until)))
        for name in self._states.keys() - found.keys():
            trace.entries.append(Happened(now, self.name, Entered(name, State.CLOSED)))
        self._states = found


def _end(end: Endpoint) -> tuple[bytes, int]:
    return ip_address(end.address).packed, end.port


def _about(arguments: dict[str, Any]) -> str:
    if "address" in arguments:
        return str(Endpoint(arguments["address"], arguments["port"]))
    words = [arguments["handle"]]
    if "data" in arguments:
        words.append(f"{len(arguments['data'])} octets")
    if "name" in arguments:
        words += [arguments["name"], arguments["value"]]
    return ", ".join(map(str, words))


def _result(answer: Answer) -> str:
    if answer.error:
        return answer.error
    value = answer.value
    return f"{len(value)} octets" if isinstance(value, bytes) else "done" if value is None else str(value)
