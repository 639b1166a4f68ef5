"""`Flow`: one connection as a script sees it: its ports, the numbers each side began with, how far it has come.

Nothing is known of the stack's ISN, port and timestamps before it has sent them; who follows a script writes them here.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from timewait.wire.segment import Segment


class Phase(Enum):
    """How far a flow has come, as packetdrill follows it from the calls and the packets of the script."""

    NEW = "new"
    LISTENING = "listening"
    PASSIVE = "SYN received"
    PASSIVE_ANSWERED = "SYN-ACK sent"
    CONNECTING = "connecting"
    SYN_SENT = "SYN sent"
    OPEN = "open"
    DISSOLVED = "dissolved"


# A flow's descriptor while it has none: not yet, or not any more.
NOT_ACCEPTED: Final = -1
GIVEN_BACK: Final = -2


@dataclass(slots=True, kw_only=True)
class Flow:
    """One connection as the script sees it.  Ports are 0 while not known; `descriptor` is the script's own number.

    `script_isn`, `live_isn`: of the stack under test, as written and as sent; `remote_isn`: of the script's side.
    """

    descriptor: int = NOT_ACCEPTED
    phase: Phase = Phase.NEW
    local_port: int = 0
    remote_port: int = 0
    script_isn: int = 0
    live_isn: int = 0
    remote_isn: int = 0
    asked: int | None = None  # the number of the last bare SYN sent to the stack
    stamps: dict[int, int] = field(default_factory=dict)  # timestamp as written -> as sent
    first_stamp: tuple[int, int] | None = None  # the first of these pairs
    last_stamp: int = 0
    peer_mss: int = 536  # what the script's SYN allows

    def fits(self, segment: Segment) -> bool:
        """Whether the stack sent this segment on this flow."""
        return segment.source_port == self.local_port and segment.destination_port == self.remote_port

    def local_offset(self, syn: bool) -> int:
        """Return what a number of the stack's side gains on its way from script to wire."""
        return self.live_isn - self.script_isn if syn else self.live_isn

    def remote_offset(self, syn: bool) -> int:
        """Return the same for the script's side, whose ISN is as written."""
        return 0 if syn else self.remote_isn
