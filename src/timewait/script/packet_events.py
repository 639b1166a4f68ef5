"""`PacketEvents`: the packets of a script: put on the wire as the stack counts, or awaited and compared.

Knows which connection a packet belongs to, and how runs of segments are cut and joined.  Numbers inside packets are
mapped and compared in `matching`.  Follows packetdrill's run_packet.c.
"""

from typing import Final

from timewait.clock import SECOND, Duration
from timewait.script import matching, offload
from timewait.script.flow import NOT_ACCEPTED, Flow, Phase
from timewait.script.matching import PacketError
from timewait.script.run import Run, seconds
from timewait.script.syntax import IcmpPacket, TcpPacket, TimeKind, When
from timewait.script.world import Seen
from timewait.wire.packet import Packet
from timewait.wire.segment import ACK, PSH, SYN, MaximumSegmentSize

# How much longer than due a packet is waited for, to say when it came after all.
_LOOK_AHEAD: Final = 3600 * SECOND
_LOOK_AHEAD_REAL: Final = 1 * SECOND
# The same for what may come whenever it likes: no retransmission is further away, TCP_RTO_MAX, include/net/tcp.h.
_LOOK_AHEAD_WHENEVER: Final = 121 * SECOND
# Ports of the script's side, one after the other: IANA's dynamic range, RFC 6335 section 6.
_FIRST_PORT: Final = 49152


class PacketEvents:
    """The packets of one run."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.rest: Seen | None = None  # of a packet that a line expected shorter
        self.unexpected: list[Packet] = []
        self.next_port = _FIRST_PORT

    # --- In

    def flow_for(self, packet: TcpPacket | IcmpPacket) -> Flow:
        """Return the flow that a packet of the script belongs to: the one under test, or a new child of it."""
        flow = self.run.under_test
        if isinstance(packet, TcpPacket) and packet.ports is not None:
            wanted = packet.ports if packet.inbound else packet.ports[::-1]
            for each in self.run.flows:
                if (each.remote_port, each.local_port) == wanted:
                    return each
        if flow is None:
            raise PacketError("no matching socket for script packet")
        if isinstance(packet, IcmpPacket):
            return flow
        syn = "S" in packet.flags
        if packet.inbound and flow.phase in (Phase.LISTENING, Phase.NEW):
            child = Flow(
                phase=Phase.PASSIVE,
                local_port=self.run.world.addresses.bind_port,
                remote_port=self.next_port,
                remote_isn=packet.seq if flow.phase is Phase.LISTENING and isinstance(packet.seq, int) else 0,
                descriptor=flow.descriptor if flow.phase is Phase.NEW else NOT_ACCEPTED,
            )
            self.next_port += 1
            self.run.flows.append(child)
            self.run.under_test = child
            return child
        if not packet.inbound and flow.phase is Phase.CONNECTING and syn and "." not in packet.flags:
            flow.phase = Phase.SYN_SENT
            flow.script_isn = packet.seq if isinstance(packet.seq, int) else 0
        return flow

    def inject(self, packet: TcpPacket) -> None:
        """Send a packet of the script to the stack."""
        addresses = self.run.world.addresses
        try:
            flow = self.flow_for(packet)
            syn, ack = "S" in packet.flags, "." in packet.flags
            if flow.phase is Phase.PASSIVE_ANSWERED and ack:
                flow.phase = Phase.OPEN
            elif flow.phase is Phase.SYN_SENT and syn and ack:
                flow.phase = Phase.OPEN
                flow.remote_isn = packet.seq if isinstance(packet.seq, int) else 0
            if syn:
                self.note_syn(flow, packet)
            octets = matching.inbound(packet, flow, addresses.local, addresses.remote)
        except PacketError as error:
            self.run.fail("handling packet", error.what, matching.written(packet))
        self.send(octets)

    def note_syn(self, flow: Flow, packet: TcpPacket) -> None:
        """Remember what a SYN of the script offers."""
        if "." not in packet.flags and isinstance(packet.seq, int):
            flow.asked = packet.seq
        for spec in packet.options or ():
            option = matching.plain_option(spec)
            if isinstance(option, MaximumSegmentSize):
                flow.peer_mss = option.size

    def inject_icmp(self, packet: IcmpPacket) -> None:
        """Send an ICMP error of the script to the stack."""
        addresses = self.run.world.addresses
        try:
            flow = self.flow_for(packet)
            octets = matching.inbound_icmp(packet, flow, addresses.local, addresses.remote)
        except PacketError as error:
            self.run.fail("handling packet", error.what)
        self.send(octets)

    def send(self, octets: bytes) -> None:
        """Deliver octets, now."""
        self.run.crossed.append((self.run.world.now(), False, octets))
        self.run.world.inject(octets)

    # --- Out

    def next(self, patience: Duration) -> Seen | None:
        """Return the next packet that the stack sent, whatever it is."""
        if self.run.waiting:
            return self.run.waiting.popleft()
        seen = self.run.world.next_packet(max(patience, self.run.world.now()))
        if seen is not None:
            self.run.crossed.append((seen.time, True, seen.packet))
        return seen

    def next_of(self, flow: Flow, patience: Duration) -> tuple[Seen, Packet] | None:
        """Return the flow's next packet; packets of other flows are passed over, as packetdrill does."""
        while (seen := self.next(patience)) is not None:
            packet = matching.read(seen.packet)
            segment = packet.segment
            opens = flow.phase is Phase.SYN_SENT and segment.flags & (SYN | ACK) == SYN
            if opens and segment.destination_port == flow.remote_port and not flow.local_port:
                flow.local_port = segment.source_port
                flow.live_isn = segment.seq
            if flow.fits(segment):
                return seen, packet
            self.unexpected.append(packet)
        return None

    def expect(self, packet: TcpPacket, when: When, first: Duration, last: Duration) -> None:
        """See the packet that the script expects next."""
        script_packet = f"{seconds(first)} {matching.written(packet)}"
        try:
            flow = self.flow_for(packet)
            real = _LOOK_AHEAD_WHENEVER if when.kind is TimeKind.ANY else _LOOK_AHEAD_REAL
            ahead = _LOOK_AHEAD if self.run.world.virtual else real
            found = self.next_of(flow, last + self.run.tolerance + ahead)
        except PacketError as error:
            self.run.fail("handling packet", error.what, script_packet)
        if found is None:
            self.run.fail(
                "handling packet",
                f"timing error: expected outbound packet at {seconds(first)} sec but none came",
                script_packet,
            )
        seen, live = found
        self.learn(flow, packet, live)
        live = self.joined(flow, packet, live, seen.time)
        actual = matching.as_scripted(live, flow, packet)
        wrong = matching.difference(packet, actual, self.ticks())
        if not wrong and when.kind is not TimeKind.ANY:
            wrong = self.run.off(first, last, seen.time, "outbound packet")
        if wrong and "packet" not in self.run.script.options.non_fatal:
            actual_packet = f"{seconds(seen.time)} {matching.written_actual(actual)}"
            self.run.fail("handling packet", wrong, script_packet, actual_packet)

    def ticks(self) -> int | None:
        """Return by how many ticks a timestamp may be off; None where the script does not ask for the check."""
        tick = self.run.script.options.tcp_ts_tick
        return self.run.tolerance // tick if tick else None

    def learn(self, flow: Flow, packet: TcpPacket, live: Packet) -> None:
        """Learn the stack's ISN from its SYN-ACK, and again when it answers the SYN of a new incarnation."""
        segment = live.segment
        if not ({"S", "."} <= packet.flags and segment.flags & (SYN | ACK) == SYN | ACK):
            return
        new = flow.phase is Phase.PASSIVE
        if not new and (flow.asked is None or segment.ack != flow.asked + 1 or segment.seq == flow.live_isn):
            return
        flow.script_isn = packet.seq if isinstance(packet.seq, int) else 0
        flow.live_isn = segment.seq
        flow.phase = Phase.PASSIVE_ANSWERED
        if not new:
            assert flow.asked is not None
            flow.remote_isn = flow.asked
            flow.first_stamp = None

    def joined(self, flow: Flow, packet: TcpPacket, live: Packet, time: Duration) -> Packet:
        """Join segments up to the length expected, where that is more than a segment can have.

        A kernel marks with PSH, besides the end of a write, wherever its congestion control and offload end a run of
        text: that is no failure where the script has none.
        """
        if 0 < packet.length < len(live.segment.payload) and not self.run.world.virtual:
            return self.cut(live, packet.length, "P" in packet.flags, time)
        if not self.run.world.virtual and live.segment.payload and "P" not in packet.flags:
            live = live._replace(segment=live.segment._replace(flags=live.segment.flags & ~PSH))
        largest = min(flow.peer_mss, self.run.script.options.mtu - (40 if len(live.segment.source) == 4 else 60))
        while largest < packet.length and len(live.segment.payload) < packet.length:
            seen = self.next(self.run.world.now())
            if seen is None:
                break
            following = matching.read(seen.packet)
            both = offload.joined(live, following)
            if both is not None and len(both.segment.payload) > packet.length and not self.run.world.virtual:
                missing = packet.length - len(live.segment.payload)
                both = offload.joined(live, self.cut(following, missing, "P" in packet.flags, seen.time))
            elif both is None or len(both.segment.payload) > packet.length:
                self.run.waiting.appendleft(seen)
                break
            assert both is not None
            live = both
            if "P" in packet.flags:
                # Where offload cuts a long packet, and so which pieces say PSH, is no matter of the connection's.
                live = live._replace(segment=live.segment._replace(flags=live.segment.flags | PSH))
            elif not self.run.world.virtual:
                live = live._replace(segment=live.segment._replace(flags=live.segment.flags & ~PSH))
        return live

    def cut(self, live: Packet, size: int, push: bool, time: Duration) -> Packet:
        """Return the first `size` octets of a packet; the rest is there for the next line.

        Where offload ends a long packet is no matter of the connection's either.
        """
        first, rest = offload.cut(live, size, push)
        self.rest = Seen(time, rest)
        self.run.waiting.appendleft(self.rest)
        return first

    # --- The end

    def settle_rest(self) -> None:
        """Fail if octets of the last packet are left that its line did not expect."""
        if self.run.waiting and self.run.waiting[0] is self.rest:
            octets = len(matching.read(self.rest.packet).segment.payload)
            self.run.fail("handling packet", f"the last packet has {octets} octets more than its line expects")

    def leave_nothing(self) -> None:
        """Fail if the stack sent anything that no line expected."""
        try:
            while (seen := self.next(self.run.world.now())) is not None:
                self.unexpected.append(matching.read(seen.packet))
        except PacketError as error:
            self.run.fail("handling packet", error.what)
        if self.unexpected:
            packet = self.unexpected[0]
            for flow in self.run.flows:
                if flow.fits(packet.segment):
                    shape = TcpPacket(inbound=False, flags=frozenset(), seq=0, length=0)
                    packet = matching.as_scripted(packet, flow, shape)
                    break
            self.run.fail(
                "handling packet",
                f"{len(self.unexpected)} outbound packet(s) that no line expects",
                actual_packet=matching.written_actual(packet),
            )

    def drain(self) -> None:
        """Take what was sent and not looked at, for the record of packets."""
        while self.next(self.run.world.now()) is not None:
            pass
