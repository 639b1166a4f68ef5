"""The language of packet scripts.  What each form means is packetdrill's: parser.y and lexer.l of its two branches,
google/packetdrill and nplab/packetdrill."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timewait.clock import MS, SECOND
from timewait.script import grammar
from timewait.script.mistake import ScriptError
from timewait.script.source import LARGEST
from timewait.script.syntax import (
    ANY,
    ANYTHING,
    Apply,
    Array,
    Assertions,
    Between,
    Call,
    Command,
    Event,
    Flags,
    IcmpPacket,
    Number,
    OptionSpec,
    Script,
    Struct,
    TcpPacket,
    Text,
    TimeKind,
    When,
    Word,
)

EVENT = "0 close(3) = 0\n"


def read(text: str, **defines: str) -> Script:
    return grammar.read(text.encode(), "t.pkt", defines)


def only(text: str) -> Event:
    (event,) = read(text).events
    return event


def tcp(text: str) -> TcpPacket:
    action = only(f"0 {text}").action
    assert isinstance(action, TcpPacket)
    return action


def call(text: str) -> Call:
    action = only(f"0 {text}").action
    assert isinstance(action, Call)
    return action


def argument(text: str) -> Any:
    return call(f"f({text}) = 0").arguments[0]


def mistake(text: str | bytes) -> ScriptError:
    with pytest.raises(ScriptError) as caught:
        grammar.read(text if isinstance(text, bytes) else text.encode(), "t.pkt")
    return caught.value


# --- lines ---


def test_comments_are_not_read_and_lines_still_count() -> None:
    script = read('#!/usr/bin/env packetdrill\n// one ` " %{\n/* two\n`lines` */ 0 close(3) = 0 // three\n# four\n')
    assert [event.place for event in script.events] == [(4, 12)]
    assert script.events[0].text == "0 close(3) = 0"


def test_option_lines() -> None:
    text = """--ip_version=ipv4-mapped-ipv6
--tolerance_usecs=75000
--tolerance_percent=5 // of the time
--mtu=9000
--speed=100
--local_ip=fd::1 --remote_ip=fd::3 --gateway_ip=192.168.0.2 --netmask_ip=255.255.0.0
--bind_port=1 --connect_port = 65535
--init_scripts="a.sh, b.sh"
--non_fatal=packet,syscall
--tcp_ts_tick_usecs=1000
--strict_segments
"""
    options = read(text + EVENT).options
    assert (options.ip_version, options.tolerance, options.tolerance_percent) == ("ipv4-mapped-ipv6", 75 * MS, 5.0)
    assert (options.mtu, options.speed, options.bind_port, options.connect_port) == (9000, 100_000_000, 1, 65535)
    assert (options.local_ip, options.remote_ip) == ("fd::1", "fd::3")
    assert (options.gateway_ip, options.netmask_ip) == ("192.168.0.2", "255.255.0.0")
    assert options.init_scripts == ("a.sh", "b.sh")
    assert options.non_fatal == {"packet", "syscall"}
    assert options.tcp_ts_tick == MS


@pytest.mark.parametrize(
    ("defines", "kept"),
    [({}, ["2", "4"]), ({"A": ""}, ["1", "2"]), ({"B": ""}, ["2", "3"]), ({"A": "", "B": ""}, ["1", "2"])],
)
def test_conditions_by_names_given(defines: dict[str, str], kept: list[str]) -> None:
    text = "#ifdef A\n0 f(1) = 0\n#endif\n0 f(2) = 0\n"
    text += "#ifndef A\n#ifdef B // inner\n0 f(3) = 0\n#else\n0 f(4) = 0\n#endif\n#endif\n"
    calls = [event.action for event in read(text, **defines).events]
    assert [one.arguments[0] for one in calls if isinstance(one, Call)] == [Number(int(n), n) for n in kept]


def test_define_lines_define_for_conditions_and_for_words() -> None:
    text = '--define NAME\n--define=CC="reno"\n--define=SIZE=7\n#ifdef NAME\n0 f(CC, SIZE, NAME) = 0\n#endif\n'
    script = read(text)
    assert script.options.defines == {"NAME", "CC", "SIZE"}
    action = script.events[0].action
    assert isinstance(action, Call)
    assert action.arguments == (Text("reno"), Number(7, "7"), Word("NAME"))


def test_a_cookie_may_be_a_defined_name() -> None:
    (event,) = read("0 < S 0:0(0) win 1 <FO COOKIE>\n", COOKIE="0102abCD").events
    assert isinstance(event.action, TcpPacket)
    assert event.action.options == (OptionSpec("FO", (bytes.fromhex("0102abcd"),)),)


def test_commands_without_a_time_begin_and_end_a_script() -> None:
    script = read(f"`first\n more`\n`second`\n{EVENT}+1 `timed`\n`last`\n")
    assert [text for _, text in script.init] == ["first\n more", "second"]
    assert script.events[1].action == Command("timed")
    assert script.cleanup == (((6, 1), "last"),)


# --- times ---


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("0", When(TimeKind.ABSOLUTE, 0)),
        ("1.000000001", When(TimeKind.ABSOLUTE, SECOND + 1)),
        (".5", When(TimeKind.ABSOLUTE, SECOND // 2)),
        ("+0.01", When(TimeKind.RELATIVE, 10 * MS)),
        ("+ .2", When(TimeKind.RELATIVE, 200 * MS)),
        ("*", When(TimeKind.ANY)),
        ("0.01~0.02", When(TimeKind.ABSOLUTE, 10 * MS, 20 * MS)),
        ("+.0~+.1", When(TimeKind.RELATIVE, 0, 100 * MS)),
    ],
)
def test_times_of_what_the_stack_sends(text: str, when: When) -> None:
    assert only(f"{text} > . 1:1(0) ack 1").when == when


@pytest.mark.parametrize(
    ("text", "begins", "ends"),
    [
        ("0...0.2", When(TimeKind.ABSOLUTE, 0), When(TimeKind.ABSOLUTE, 200 * MS)),
        ("+.01...0.02", When(TimeKind.RELATIVE, 10 * MS), When(TimeKind.RELATIVE, 20 * MS)),
    ],
)
def test_a_call_that_blocks_has_two_times(text: str, begins: When, ends: When) -> None:
    event = only(f"{text} connect(3, ..., ...) = 0")
    assert (event.when, event.until) == (begins, ends)


# --- packets ---


def test_a_segment_in_full() -> None:
    text = "> [ect0] SEW. 0:10(10) ack 1 win 65535 urg 2 <mss 1460,nop,wscale 6,sackOK,TS val 100 ecr 0,eol>"
    assert tcp(text) == TcpPacket(
        inbound=False,
        flags=frozenset("SEW."),
        seq=0,
        length=10,
        ack=1,
        window=65535,
        urgent=2,
        options=(
            OptionSpec("mss", (1460,)),
            OptionSpec("nop"),
            OptionSpec("wscale", (6,)),
            OptionSpec("sackOK"),
            OptionSpec("TS", (100, 0)),
            OptionSpec("eol"),
        ),
        ip=tcp("> [ect0] . 1:1(0)").ip,
    )


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("S", "S"), ("S.", "S."), ("F.", "F."), (".", "."), ("P.", "P."), ("R", "R"), ("-", ""), ("FPU.", "FPU."),
        ("WES", "SEW"), ("5.", "5."), ("P5.", "P5."), ("SEWA", "SEWA"), ("EAP.", "EAP."),
    ],
)  # fmt: skip
def test_flags_in_any_order(text: str, flags: str) -> None:
    assert tcp(f"> {text} 1:1(0)").flags == frozenset(flags)


def test_sequence_numbers() -> None:
    assert (tcp("> . 1:1001(1000)").seq, tcp("> . 1:1001(1000)").length) == (1, 1000)
    assert (tcp("> . 5:5(0)! ack 7!").absolute_seq, tcp("> . 5:5(0)! ack 7!").absolute_ack) == (True, True)
    assert (tcp("> . ...(1000) ack 1").seq, tcp("> . ...(1000)").length) == (ANY, 1000)
    assert tcp("> . 4294967295:4(5)").seq == 2**32 - 1


def test_what_is_left_out() -> None:
    """opt_ack, opt_window, opt_tcp_options of parser.y: no window is any, no options are none, <...> is any."""
    bare = tcp("> . 1:1(0)")
    assert (bare.ack, bare.window, bare.urgent, bare.options, bare.ports) == (None, ANY, None, (), None)
    assert tcp("> . 1:1(0) <...>").options is None


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("sack 1:2 3:5", OptionSpec("sack", (1, 2, 3, 5))),
        ("TS val ... ecr 5", OptionSpec("TS", (ANY, 5))),
        ("TS val 1 ecr 5!", OptionSpec("TS", (1, 5), absolute=True)),
        ("TS val * ecr ...", OptionSpec("TS", (ANY, ANY))),
        ("mss ...", OptionSpec("mss", (ANY,))),
        ("FO", OptionSpec("FO", (b"",))),
        ("FO 0102030405060708", OptionSpec("FO", (bytes(range(1, 9)),))),
        ("FOEXP 1e2f", OptionSpec("FOEXP", (b"\x1e\x2f",))),
        ("md5 000102030405060708090a0b0c0d0e0f", OptionSpec("kind", (19, bytes(range(16))))),
        # RFC 9768 section 3.2.3: kind 174 begins with the counter of ECT(1), 172 with that of ECT(0).
        ("ECN e1b 1 ceb 0 e0b 2", OptionSpec("kind", (174, bytes([0, 0, 1, 0, 0, 0, 0, 0, 2])))),
        ("ECN e0b 1 ceb 3", OptionSpec("kind", (172, bytes([0, 0, 1, 0, 0, 3])))),
    ],
)
def test_options_by_name(text: str, spec: OptionSpec) -> None:
    assert tcp(f"> . 1:1(0) <{text}>").options == (spec,)


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("[noecn]", "ecn", "noecn"), ("(ect1)", "ecn", "ect1"), ("[ect01]", "ecn", "ect01"), ("[ce]", "ecn", "ce"),
        ("[tos 0x28]", "tos", 0x28), ("[ttl 64]", "ttl", 64), ("[hlim 1]", "ttl", 1),
        ("[flowlabel 0xabcde]", "flow_label", 0xABCDE), ("[ecn ce, ttl 3]", "ttl", 3),
        ("[dscp af11, ecn ect0]", "tos", 10 << 2 | 2),  # RFC 2597: AF11 is 10; RFC 3168: ECT(0) is 2
    ],
)  # fmt: skip
def test_fields_of_the_ip_header(text: str, field: str, value: object) -> None:
    assert getattr(tcp(f"> {text} . 1:1(0)").ip, field) == value


def test_ports_may_be_said() -> None:
    assert tcp("< 8080 > 80 S 0:0(0) win 1").ports == (8080, 80)


def test_icmp_messages() -> None:
    assert only("0 < icmp unreachable frag_needed mtu 1400 [1:1001(1000)]").action == IcmpPacket(
        inbound=True, kind="unreachable", code="frag_needed", mtu=1400, quoted_seq=1, quoted_length=1000
    )
    assert only("0 < icmp packet_too_big mtu 1280 [5:5(0)]").action == IcmpPacket(
        inbound=True, kind="packet_too_big", mtu=1280, quoted_seq=5, quoted_length=0
    )
    assert only("0 < icmp time_exceeded").action == IcmpPacket(inbound=True, kind="time_exceeded")


# --- calls ---


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", Number(3, "3")),
        ("-1", Number(-1, "-1")),
        ("0xffffffff", Number(2**32 - 1, "0xffffffff")),
        ("...", ANYTHING),
        ("O_RDWR | O_NONBLOCK|0x4", Flags((Word("O_RDWR"), Word("O_NONBLOCK"), Number(4, "0x4")))),
        ('"a\\x41\\n" "b"', Text("aA\nb")),
        ("[1]", Array((Number(1, "1"),))),
        ("[]", Array(())),
        ("{onoff=1, linger=0}", Struct({"onoff": Number(1, "1"), "linger": Number(0, "0")})),
        ("{..., 40}", Struct({"0": ANYTHING, "1": Number(40, "40")})),
        ("htons(80)", Apply("htons", (Number(80, "80"),))),
        ('inet_addr("192.0.2.1")', Apply("inet_addr", (Text("192.0.2.1"),))),
        ("10~20", Between(10, 20)),
    ],
)
def test_values(text: str, value: object) -> None:
    assert argument(text) == value


def test_structures_of_structures() -> None:
    assert argument("{msg_name(...)=..., msg_iov(2)=[{..., 0}, {..., 40}], msg_flags=0}") == Struct(
        {
            "msg_name": Apply("msg_name", (ANYTHING, ANYTHING)),
            "msg_iov": Apply(
                "msg_iov",
                (
                    Number(2, "2"),
                    Array(
                        (
                            Struct({"0": ANYTHING, "1": Number(0, "0")}),
                            Struct({"0": ANYTHING, "1": Number(40, "40")}),
                        )
                    ),
                ),
            ),
            "msg_flags": Number(0, "0"),
        }
    )
    assert argument("[{fd=4, events=POLLIN|POLLERR, revents=0}]") == Array(
        (Struct({"fd": Number(4, "4"), "events": Flags((Word("POLLIN"), Word("POLLERR"))), "revents": Number(0, "0")}),)
    )


@pytest.mark.parametrize(
    ("text", "result", "errno", "note"),
    [
        ("= 3", Number(3, "3"), None, ""),
        ("= -1 EINPROGRESS (Operation now in progress)", Number(-1, "-1"), "EINPROGRESS", "Operation now in progress"),
        ("= -1 EAGAIN", Number(-1, "-1"), "EAGAIN", ""),
        ("= -1 (Invalid Argument)", Number(-1, "-1"), None, "Invalid Argument"),
        ("= -1 // EINPROGRESS", Number(-1, "-1"), None, ""),
        ("= 0x02 (flags O_RDWR|O_NONBLOCK)", Number(2, "0x02"), None, "flags O_RDWR|O_NONBLOCK"),
        ("= 1~5", Between(1, 5), None, ""),
        ("= ?", ANYTHING, None, ""),
        ("= ...", ANYTHING, None, ""),
        ("", ANYTHING, None, ""),
    ],
)
def test_results(text: str, result: object, errno: str | None, note: str) -> None:
    found = call(f"connect(3, ..., ...) {text}\n0.5 close(3) = 0".replace("\n0.5 close(3) = 0", ""))
    assert (found.result, found.errno, found.note) == (result, errno, note)
    assert len(read(f"0 connect(3) {text}\n0.5 close(3) = 0\n").events) == 2


def test_assertions_are_kept_as_text() -> None:
    assert only("0 %{\nassert tcpi_rtt > 5, 'srtt=%d us' % tcpi_rtt\n}%").action == Assertions(
        "assert tcpi_rtt > 5, 'srtt=%d us' % tcpi_rtt"
    )


# --- mistakes ---


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("0 socket(..., SOCK_STREAM = 3", (1, 27), "expected a comma, |, ( or ), found '='"),
        ("0 > S 0:0 win 3", (1, 7), "expected sequence numbers"),
        ("0 > S 0:5(3)", (1, 7), "0:5 is a length of 5, and 3 is written"),
        ("0 > S 0:0(0) win 70000", (1, 18), "win 70000 is out of range"),
        ("0 > SS 0:0(0)", (1, 5), "SS names a flag twice"),
        ("0 > SX 0:0(0)", (1, 5), "'X' is no TCP flag"),
        ("0 > S 0:0(0) <mss 1460,sackok>", (1, 24), "unknown option sackok"),
        ("0 > S 0:0(0) <mss>", (1, 15), "mss takes one number"),
        ("0 > S 0:0(0) <wscale 256>", (1, 22), "wscale 256 is out of range"),
        ("0 > S 0:0(0) <md5 valid>", (1, 15), "digests are neither made nor checked"),
        ("0 > S 0:0(0) <TS val 1>", (1, 15), "TS takes val and ecr"),
        ("0 > S 0:0(0) ack 1 ack 2", (1, 20), "ack is said twice"),
        ("0 < S 0:0(0) <...>", (1, 3), "<...> is for packets that the stack sends"),
        ("0 < [ect01] S 0:0(0)", (1, 6), "[ect01] is for packets that the stack sends"),
        ("* < S 0:0(0)", (1, 1), "the time * is for packets that the stack sends"),
        ("0~1 close(3) = 0", (1, 1), "a time range is for packets that the stack sends"),
        ("0.2~0.1 > S 0:0(0)", (1, 5), "the range is backwards"),
        ("0~+1 > S 0:0(0)", (1, 3), "one end of the range is relative"),
        ("1...0.5 close(3) = 0", (1, 5), "the call would end before it begins"),
        ("0 > udp (100)", (1, 5), "udp packets are not supported"),
        ("0 connect(3, {a=}) = 3", (1, 17), "a name, a text in quotes, [ or {, found '}'"),
        ("0 f({a=1, a=2}) = 0", (1, 11), "the field a is given twice"),
        ("0 `sysctl x", (1, 3), "` has no end"),
        ('0 f("x) = 0', (1, 5), '" has no end'),
        ("0 %{ assert 1", (1, 3), "%{ has no end"),
        ("0 %{ assert (1 and\n tcpi_x ** 2) }%", (2, 9), "expected an operator or )"),
        ("0 %{ import os }%", (1, 6), "expected assert, found 'import'"),
        ("0 close(3) = 0\nconnect(3) = 3", (2, 1), "found 'connect'"),
        ("0 close(3) = 0\n`x`\n0 close(3) = 0", (2, 1), "a command between events needs a time"),
        ("0 close(3) = 0\n--mtu=1500", (2, 1), "an option line after an event"),
        ("--mtuu=1500\n" + EVENT, (1, 1), "unknown option --mtuu"),
        ("--ip_version=ipv5\n" + EVENT, (1, 14), "--ip_version cannot be 'ipv5'"),
        ("--mtu\n" + EVENT, (1, 1), "--mtu lacks its value"),
        ("#ifdef X\n" + EVENT, (1, 1), "this condition has no #endif"),
        ("#endif\n" + EVENT, (1, 1), "#endif without #ifdef"),
        ("#ifdfe X\n#endif\n" + EVENT, (1, 1), "there is no #ifdfe"),
        ("/* " + EVENT, (1, 1), "this comment has no end"),
        ("0 f(" + "[" * 40 + "]" * 40 + ") = 0", (1, 36), "brackets are nested too deeply"),
        ("0 f(" + "9" * 5000 + ") = 0", (1, 5), "a number of 5000 digits is too large"),
        ("0 > . " + "9" * 5000 + ":1(1)", (1, 7), "a sequence number of so many digits"),
        ("9" * 5000 + " close(3) = 0", (1, 1), "seconds is too long a time"),
        ("", (1, 1), "the script has no events"),
    ],
)
def test_a_mistake_says_where_and_what(text: str, place: tuple[int, int], said: str) -> None:
    error = mistake(text)
    assert error.what.startswith(f"t.pkt:{place[0]}:{place[1]}: ")
    assert said in error.problem
    shown = error.what.split("\n")[1:]
    line = text.split("\n")[place[0] - 1]
    if line.strip() and len(line) < 150:
        assert shown == ["    " + line, " " * (place[1] + 3) + "^"]
    assert error.status == 64


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("0 > S 0:0(0) <sackok>", "did you mean sack or sackOK?"),
        ("--tolerance_usec=1\n" + EVENT, "did you mean --tolerance_usecs or"),
        ("0 > S 0:5(3)", "0:3(3)"),
    ],
)
def test_a_hint_says_what_was_meant(text: str, hint: str) -> None:
    assert mistake(text).hint.startswith(hint)


def test_no_binary_file_is_read() -> None:
    assert "octet 0x7f does not belong in a text" in mistake(b"\x7fELF\x02\x01\x01\x00").problem


def test_a_large_file_is_refused_before_it_is_read_whole(tmp_path: Path) -> None:
    file = tmp_path / "large.pkt"
    with file.open("wb") as out:
        out.truncate(50 << 20)
    with pytest.raises(ScriptError, match="more than 1,024 KiB"):
        grammar.load(str(file))
    assert "more than 1,024 KiB" in mistake(b" " * (LARGEST + 1)).problem


def test_a_file_that_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match="cannot be read"):
        grammar.load(str(tmp_path))


def test_every_terminal_has_words() -> None:
    """A message never shows a token's name."""
    known = {terminal.name for terminal in grammar._reader().lark.terminals} - set(grammar._reader().lark.ignore_tokens)
    assert known - set(grammar.WORDS) == set()


def test_names_in_latin_1_are_read() -> None:
    assert len(grammar.read(b"// T\xfcxen\n" + EVENT.encode()).events) == 1


WHOLE = """--ip_version=ipv6
`sysctl -w net.ipv4.tcp_timestamps=0`
 0.00 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3 // comment
+0.00 fcntl(3, F_SETFL, O_RDWR | O_NONBLOCK) = 0
+0.00 connect(3, {sa_family=AF_INET, sin_port=htons(8080)}, ...) = -1 EINPROGRESS (Operation now in progress)
+0~+.1 > [ect0] SEW 0:0(0) win 65535 <mss 1440,nop,wscale 6,sackOK,TS val ... ecr 0>
#ifdef X
+0.10 < S. 0:0(0) ack 1 win 32767 <mss 1440,sackOK,eol,eol>
#endif
* > . ...(0) ack 1 <...>
+0...0.2 read(3, [{..., 40}], "a\\x00" "b", 0xff) = 1~2
0.5 < icmp packet_too_big mtu 1280 [1:1461(1460)]
+0 %{ assert (tcpi_options & 2) == 0 and 1 < 2, "text" }%
"""


def never_breaks(octets: bytes) -> None:
    found: ScriptError | None = None
    try:
        grammar.read(octets, "t.pkt", {"X": ""})
    except ScriptError as error:
        found = error
    if found is not None:
        where = found.what.split(":", 3)
        assert min(int(where[1]), int(where[2])) >= 1
        assert found.problem


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_script_gone_wrong_is_a_mistake_and_no_traceback(data: st.DataObject) -> None:
    text = WHOLE
    pieces = st.sampled_from(
        [*"<>[]{}()`\"%=|~.:!,-+*\n\\'", "...", "/*", "*/", "%{", "}%", "#ifdef ", "\n#else\n", "9" * 30, "TS", "0x"]
    )
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        to = data.draw(st.integers(at, min(len(text), at + 30)))
        text = text[:at] + data.draw(pieces | st.text(max_size=4)) + text[to:]
    never_breaks(text.encode("utf-8", "surrogatepass"))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.text('0123456789.+*~<>SFRP.:()[]{}=, \n"`%#-', max_size=200).map(str.encode))
def test_any_octets_are_a_script_or_a_mistake(octets: bytes) -> None:
    never_breaks(octets)
