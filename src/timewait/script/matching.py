"""A script's packets and the stack's: numbers mapped from one to the other, headers compared, differences in words.

Scripts count from each side's ISN; packets with SYN are written with absolute numbers.  Of the stack's ISN, its port
and its timestamps nothing is known before it has sent them, so a `Flow` learns them from what it sends.  The rules are
those of packetdrill (run_packet.c, socket.h, tcp_options.c); when a packet has to come is for `play`.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from timewait.errors import TimewaitError
from timewait.script.flow import Flow
from timewait.script.syntax import ANY, IcmpPacket, Match, OptionSpec, TcpPacket
from timewait.wire import icmp
from timewait.wire.errors import WireError
from timewait.wire.options import encode
from timewait.wire.packet import Packet, build, parse_packet
from timewait.wire.segment import (
    ACK,
    CWR,
    ECE,
    FIN,
    PSH,
    RST,
    SYN,
    URG,
    EndOfOptions,
    MaximumSegmentSize,
    NoOperation,
    Option,
    Sack,
    SackPermitted,
    Segment,
    Timestamps,
    UnknownOption,
    WindowScale,
)
from timewait.wire.seq import MASK

# The letters of the language, in the order in which packetdrill writes them (packet_to_string.c).
_LETTERS: Final = (("S", SYN), ("F", FIN), ("R", RST), ("P", PSH), (".", ACK), ("U", URG), ("E", ECE), ("W", CWR))
_BITS: Final = {**dict(_LETTERS), "C": CWR}
_ECN: Final = {"noecn": (0,), "ect1": (1,), "ect0": (2,), "ect01": (1, 2), "ce": (3,)}
# Kinds of the IANA registry "TCP Option Kind Numbers" that have a name in the language but no class in `wire`.
_FAST_OPEN: Final = 34
_EXPERIMENT: Final = 254
# RFC 6994 section 3: the experiment's number of Fast Open, as Linux has it (TCPOPT_FASTOPEN_MAGIC).
_FAST_OPEN_MAGIC: Final = b"\xf9\x89"
# (kind, code) of the language -> (type, code): RFC 792, RFC 1191, RFC 4443; names as in packetdrill's icmp_packet.c.
_ICMP4: Final[dict[tuple[str, str | None], tuple[int, int]]] = {
    ("unreachable", None): (3, 0),
    ("unreachable", "net_unreachable"): (3, 0),
    ("unreachable", "host_unreachable"): (3, 1),
    ("unreachable", "protocol_unreachable"): (3, 2),
    ("unreachable", "port_unreachable"): (3, 3),
    ("unreachable", "frag_needed"): (3, 4),
    ("unreachable", "source_route_failed"): (3, 5),
    ("unreachable", "net_unknown"): (3, 6),
    ("unreachable", "host_unknown"): (3, 7),
    ("unreachable", "source_host_isolated"): (3, 8),
    ("unreachable", "net_prohibited"): (3, 9),
    ("unreachable", "host_prohibited"): (3, 10),
    ("unreachable", "net_unreachable_for_tos"): (3, 11),
    ("unreachable", "host_unreachable_for_tos"): (3, 12),
    ("unreachable", "packet_filtered"): (3, 13),
    ("unreachable", "precedence_violation"): (3, 14),
    ("unreachable", "precedence_cutoff"): (3, 15),
    ("time_exceeded", None): (11, 0),
    ("time_exceeded", "ttl_exceeded_in_transit"): (11, 0),
    ("time_exceeded", "frag_reass_exceeded"): (11, 1),
    ("parameter_problem", None): (12, 0),
}
_ICMP6: Final[dict[tuple[str, str | None], tuple[int, int]]] = {
    ("unreachable", None): (1, 0),
    ("unreachable", "no_route"): (1, 0),
    ("unreachable", "admin_prohibited"): (1, 1),
    ("unreachable", "not_neighbour"): (1, 2),
    ("unreachable", "address_unreachable"): (1, 3),
    ("unreachable", "port_unreachable"): (1, 4),
    ("packet_too_big", None): (2, 0),
    ("time_exceeded", None): (3, 0),
    ("time_exceeded", "exceeded_hop_limit"): (3, 0),
    ("time_exceeded", "exceeded_frag_time"): (3, 1),
    ("parameter_problem", None): (4, 0),
    ("parameter_problem", "header_field"): (4, 0),
    ("parameter_problem", "unknown_next_header"): (4, 1),
    ("parameter_problem", "unknown_option"): (4, 2),
}
# Messages that are no errors: RFC 792, RFC 950; RFC 4443.
_MESSAGES4: Final = {
    "echo_reply": 0,
    "source_quench": 4,
    "redirect": 5,
    "echo_request": 8,
    "timestamp_request": 13,
    "timestamp_reply": 14,
    "information_request": 15,
    "information_reply": 16,
    "address_mask_request": 17,
    "address_mask_reply": 18,
}
_MESSAGES6: Final = {"echo_request": 128, "echo_reply": 129}
# As tcpdump writes what has no name.
_TYPE: Final = re.compile(r"type_(\d{1,3})")
_CODE: Final = re.compile(r"code_(\d{1,3})")


class PacketError(TimewaitError):
    """A packet of the script that cannot be sent or mapped."""


def bits(flags: Iterable[str]) -> int:
    """Return the control bits of a packet's letters."""
    value = 0
    for letter in flags:
        # A digit is the ACE field of RFC 9768, section 3.2: AE, CWR, ECE; AE has no bit here.
        if letter not in _BITS and not letter.isdigit():
            raise PacketError(f"the flag {letter} cannot be sent here", f"of {' '.join(_BITS)}")
        value |= (int(letter) & 3) << 6 if letter.isdigit() else _BITS[letter]
    return value


def letters(flags: int) -> str:
    """Return control bits as the language writes them; `-` for none."""
    return "".join(letter for letter, bit in _LETTERS if flags & bit) or "-"


# --- Into the stack ---


def inbound(packet: TcpPacket, flow: Flow, local: bytes, remote: bytes) -> bytes:
    """Return the IP packet that `packet` stands for on this flow.  Raises `PacketError` if it cannot be made."""
    flags = bits(packet.flags)
    syn = flags & SYN > 0
    if not isinstance(packet.seq, int):
        raise PacketError("an inbound packet needs a sequence number")
    seq = packet.seq if packet.absolute_seq else packet.seq + flow.remote_offset(syn)
    ack = packet.ack or 0
    offset = flow.local_offset(syn)
    if flags & ACK and not packet.absolute_ack:
        ack += offset
    options = tuple(_option(spec, flow, flags & ACK > 0, offset) for spec in packet.options or ())
    window = packet.window if isinstance(packet.window, int) else 0
    ports = packet.ports or (flow.remote_port, flow.local_port)
    segment = Segment(
        remote,
        ports[0],
        local,
        ports[1],
        seq & MASK,
        ack & MASK,
        flags,
        window,
        options,
        bytes(packet.length),
        packet.urgent or 0,
    )
    tos = (packet.ip.tos or 0) | _ECN[packet.ip.ecn or "noecn"][-1]
    try:
        return build(segment, 255 if packet.ip.ttl is None else packet.ip.ttl, tos)
    except ValueError as error:
        raise PacketError(str(error)) from None


def inbound_icmp(packet: IcmpPacket, flow: Flow, local: bytes, remote: bytes) -> bytes:
    """Return the IP packet of an ICMP error about a segment of the flow.  Raises `PacketError`: no such error."""
    table = _ICMP4 if len(local) == 4 else _ICMP6
    messages = _MESSAGES4 if len(local) == 4 else _MESSAGES6
    kind = table.get((packet.kind, packet.code)) or _numbered(packet, table)
    if packet.kind in messages and packet.code is None:
        return icmp.message(remote, local, messages[packet.kind], 0)
    if kind is None:
        names = ", ".join(" ".join(filter(None, each)) for each in table)
        raise PacketError(f"no ICMP error {packet.kind} {packet.code or ''} here", f"one of {names}")
    if kind[0] not in {each[0] for each in table.values()} or kind[1] > 15:
        try:
            return icmp.message(remote, local, *kind)
        except ValueError as problem:
            raise PacketError(str(problem)) from None
    seq = flow.local_offset(False) + (packet.quoted_seq if isinstance(packet.quoted_seq, int) else 0)
    error = icmp.IcmpError(
        remote, local, flow.local_port, remote, flow.remote_port, seq & MASK, *kind, mtu=packet.mtu or 0
    )
    try:
        return icmp.build(error)
    except ValueError as problem:
        raise PacketError(str(problem)) from None


def _numbered(packet: IcmpPacket, table: Mapping[tuple[str, str | None], tuple[int, int]]) -> tuple[int, int] | None:
    """Return type and code where the script writes one of them as a number."""
    kind, code = _TYPE.fullmatch(packet.kind), _CODE.fullmatch(packet.code or "code_0")
    named = table.get((packet.kind, None))
    number = int(kind[1]) if kind else named[0] if named else None
    return None if number is None or code is None else (number, int(code[1]))


def _option(spec: OptionSpec, flow: Flow, ack: bool, offset: int) -> Option:
    """Return an option for the wire: SACK edges and timestamp echoes mapped to what the stack sent."""
    if spec.name == "TS":
        value, echo = (*spec.values, ANY, ANY)[:2]
        if not isinstance(echo, int):
            echo = flow.last_stamp
        elif ack and not spec.absolute:
            if echo not in flow.stamps:
                raise PacketError(f"unable to find mapping for timestamp ecr {echo}")
            echo = flow.stamps[echo]
        return Timestamps(value if isinstance(value, int) else 0, echo)
    return plain_option(spec, offset)


def plain_option(spec: OptionSpec, offset: int = 0) -> Option:
    """Return an option as its numbers stand, SACK edges moved by `offset`; ANY becomes 0."""
    numbers = [value if isinstance(value, int) else 0 for value in spec.values]
    match spec.name.lower():
        case "nop":
            return NoOperation()
        case "eol":
            return EndOfOptions()
        case "mss":
            return MaximumSegmentSize(numbers[0])
        case "wscale":
            return WindowScale(numbers[0])
        case "sackok":
            return SackPermitted()
        case "sack":
            moved = [(number + offset) & MASK for number in numbers]
            return Sack(tuple(zip(moved[::2], moved[1::2], strict=True)))
        case "ts":
            return Timestamps(numbers[0], numbers[1])
        case "fo":
            return UnknownOption(_FAST_OPEN, _cookie(spec))
        case "foexp":
            return UnknownOption(_EXPERIMENT, _FAST_OPEN_MAGIC + _cookie(spec))
        case "kind":
            return UnknownOption(numbers[0], _cookie(spec))
    raise PacketError(f"option {spec.name} is not known")


def _cookie(spec: OptionSpec) -> bytes:
    return b"".join(value for value in spec.values if isinstance(value, bytes))


# --- Out of the stack ---


def read(octets: bytes) -> Packet:
    """Return what the stack sent.  Raises `PacketError` for what is no TCP segment."""
    try:
        return parse_packet(octets)
    except WireError as error:
        raise PacketError(f"the stack sent what is no TCP segment: {error}") from None


def as_scripted(live: Packet, flow: Flow, expected: TcpPacket) -> Packet:
    """Return a packet of the stack with its numbers as the script counts; learns its timestamp."""
    segment = live.segment
    syn = segment.flags & SYN > 0
    seq = segment.seq if expected.absolute_seq else segment.seq - flow.local_offset(syn)
    remote = flow.remote_offset(syn)
    ack = segment.ack - remote if segment.flags & ACK and not expected.absolute_ack else segment.ack
    wanted = next((spec for spec in expected.options or () if spec.name == "TS"), None)
    options = tuple(_mapped(option, flow, remote, wanted) for option in segment.options)
    return live._replace(segment=segment._replace(seq=seq & MASK, ack=ack & MASK, options=options))


def _mapped(option: Option, flow: Flow, offset: int, wanted: OptionSpec | None) -> Option:
    if isinstance(option, Sack):
        return Sack(tuple(((left - offset) & MASK, (right - offset) & MASK) for left, right in option.blocks))
    if not isinstance(option, Timestamps):
        return option
    flow.last_stamp = option.value
    written = wanted.values[0] if wanted is not None and wanted.values else ANY
    if isinstance(written, int):
        flow.stamps[written] = option.value
        if flow.first_stamp is None:
            flow.first_stamp = (written, option.value)
    if flow.first_stamp is None:
        return option
    first, sent = flow.first_stamp
    return Timestamps((first + option.value - sent) & MASK, option.echo)


def difference(expected: TcpPacket, actual: Packet, ticks: int | None) -> str:
    """Return what differs, in packetdrill's words and order; empty if nothing does.

    `actual` has its numbers as the script counts.  `ticks`: by how much a timestamp may be off; None: by any number,
    which is packetdrill's default.
    """
    segment = actual.segment
    block = len(encode(segment.options))
    wanted = [plain_option(spec) for spec in expected.options or ()]
    try:
        wanted_block = block if expected.options is None else len(encode(tuple(wanted)))
    except ValueError as error:
        return f"the script's options cannot be: {error}"
    version6 = len(segment.source) == 16
    name, header = ("ipv6_payload_len", 20) if version6 else ("ipv4_total_length", 40)
    flags = bits(expected.flags)
    numbers = (
        (name, header + wanted_block + expected.length, header + block + len(segment.payload)),
        *_ip_fields(expected, actual),
        ("tcp_data_offset", 5 + wanted_block // 4, 5 + block // 4),
        ("tcp_flags", flags, segment.flags),
        ("tcp_seq", expected.seq, segment.seq),
        ("tcp_ack_seq", expected.ack or 0, segment.ack),
        ("tcp_window", expected.window, segment.window),
        ("tcp_urg_ptr", expected.urgent or 0, segment.urgent),
    )
    for field_name, wished, seen in numbers:
        if isinstance(wished, int) and (wished & MASK if field_name in ("tcp_seq", "tcp_ack_seq") else wished) != seen:
            return _words(field_name, wished, seen)
    if segment.payload.strip(b"\0"):
        return "incorrect outbound data payload"
    return "" if expected.options is None else _options_differ(expected.options, wanted, segment.options, ticks)


def _ip_fields(expected: TcpPacket, actual: Packet) -> tuple[tuple[str, int | None, int], ...]:
    ip = expected.ip
    ecn: int | None = None
    if ip.ecn is not None:
        allowed = _ECN[ip.ecn]
        ecn = actual.tos & 3 if actual.tos & 3 in allowed else allowed[0]
    return (
        ("ip_ecn", ecn, actual.tos & 3),
        ("ip_tos", None if ip.tos is None else ip.tos & 0xFC, actual.tos & 0xFC),
        ("ip_ttl", ip.ttl, actual.ttl),
    )


def _words(name: str, expected: int, actual: int) -> str:
    if name == "tcp_flags":
        wished, seen = (f"{value:#05x} ({letters(value)})" for value in (expected, actual))
    else:
        wished, seen = (f"{value} ({value:#x})" for value in (expected, actual))
    return f"live packet field {name}: expected: {wished} vs actual: {seen}"


def _options_differ(
    specs: tuple[OptionSpec, ...], wanted: list[Option], actual: tuple[Option, ...], ticks: int | None
) -> str:
    """Compare option blocks octet by octet, what the script leaves open taken from what was sent."""
    sent = list(actual)
    at = _stamp_at(sent)
    place = _stamp_at(wanted)
    if at is not None and place is not None:
        seen, wished = sent[at], wanted[place]
        assert isinstance(seen, Timestamps)
        assert isinstance(wished, Timestamps)
        value, echo = (*specs[place].values, ANY, ANY)[:2]
        off = (seen.value - wished.value + 0x8000_0000 & MASK) - 0x8000_0000
        if isinstance(value, int) and ticks is not None and abs(off) > ticks:
            return f"bad outbound TCP timestamp value: expected: {wished.value} vs actual: {seen.value}"
        wanted[place] = Timestamps(seen.value, wished.echo if isinstance(echo, int) else seen.echo)
    for index, spec in enumerate(specs):
        if index < len(sent) and Match.ANY in spec.values and spec.name != "TS":
            wanted[index] = sent[index] if sent[index].kind == wanted[index].kind else wanted[index]
    if encode(tuple(wanted)) == encode(tuple(sent)):
        return ""
    named = (written_option(option) for option in actual)
    return f"live packet field tcp_options: expected: {written_options(specs)} vs actual: <{','.join(named)}>"


def _stamp_at(options: list[Option]) -> int | None:
    return next((index for index, option in enumerate(options) if isinstance(option, Timestamps)), None)


# --- In the language ---


def written(packet: TcpPacket, name: str = "") -> str:
    """Return a packet of the script in the language; `name` goes before it."""
    parts = [name] if name else []
    if packet.ip.ecn is not None:
        parts.append(f"[{packet.ip.ecn}]")
    flags = letters(bits(packet.flags))
    seq = packet.seq if isinstance(packet.seq, int) else None
    parts += [flags, _numbers(seq, packet.length)]
    if "." in packet.flags:
        parts.append(f"ack {packet.ack or 0}")
    if isinstance(packet.window, int):
        parts.append(f"win {packet.window}")
    if packet.urgent:
        parts.append(f"urg {packet.urgent}")
    parts.append("<...>" if packet.options is None else written_options(packet.options) if packet.options else "")
    return " ".join(filter(None, parts))


def written_actual(packet: Packet) -> str:
    """Return a packet of the stack in the language, all of it."""
    segment = packet.segment
    parts = [letters(segment.flags), _numbers(segment.seq, len(segment.payload))]
    if segment.flags & ACK:
        parts.append(f"ack {segment.ack}")
    parts.append(f"win {segment.window}")
    if segment.urgent:
        parts.append(f"urg {segment.urgent}")
    if segment.options:
        parts.append(f"<{','.join(map(written_option, segment.options))}>")
    return " ".join(parts)


def _numbers(seq: int | None, length: int) -> str:
    return f"...({length})" if seq is None else f"{seq}:{(seq + length) & MASK}({length})"


def written_options(specs: tuple[OptionSpec, ...]) -> str:
    """Return options of the script in angle brackets."""
    return f"<{','.join(map(_written_spec, specs))}>"


def _written_spec(spec: OptionSpec) -> str:
    if spec.name != "TS" or len(spec.values) != 2 or Match.ANY not in spec.values:
        try:
            return written_option(plain_option(spec))
        except (IndexError, PacketError):
            return spec.name
    value, echo = ("..." if not isinstance(each, int) else str(each) for each in spec.values)
    return f"TS val {value} ecr {echo}"


def written_option(option: Option) -> str:
    """Return one option in the language."""
    match option:
        case EndOfOptions():
            return "eol"
        case NoOperation():
            return "nop"
        case MaximumSegmentSize(size):
            return f"mss {size}"
        case WindowScale(shift):
            return f"wscale {shift}"
        case SackPermitted():
            return "sackOK"
        case Sack(blocks):
            return "sack " + " ".join(f"{left}:{right}" for left, right in blocks)
        case Timestamps(value, echo):
            return f"TS val {value} ecr {echo}"
        case UnknownOption(kind, data):
            return f"FO {data.hex()}".rstrip() if kind == _FAST_OPEN else f"opt{kind} {data.hex()}".rstrip()
