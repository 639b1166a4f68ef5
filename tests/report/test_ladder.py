"""Sequence diagrams as text: what they show of a trace, by hand from the figures of RFC 9293."""

from ipaddress import ip_address
from textwrap import dedent

from hypothesis import given
from hypothesis import strategies as st

from timewait.clock import MS, SECOND, Instant
from timewait.report.conversation import LEFT, RIGHT, Fold, Span, picture
from timewait.report.ladder_text import picture_lines
from timewait.tcp.events import Dropped, Entered, FourTuple, Reason
from timewait.tcp.states import State
from timewait.trace import Called, Fate, Happened, Moved, Trace
from timewait.wire.segment import ACK, FIN, PSH, RST, SYN, Segment

CLIENT, SERVER = ip_address("192.0.2.1").packed, ip_address("192.0.2.2").packed
WIDTH = 80


class Tale:
    """A trace written by hand: `client` on port 40000, `server` on port 80, numbers near 2^32."""

    def __init__(self, port: int = 40000, trace: Trace | None = None) -> None:
        self.trace = trace or Trace()
        self.trace.names = {CLIENT: "client", SERVER: "server"}
        self.ends = {"client": (CLIENT, port), "server": (SERVER, 80)}
        self.bases = {"client": 2**32 - 1, "server": 2**32 - 2}

    def key(self, host: str) -> FourTuple:
        other = "server" if host == "client" else "client"
        return FourTuple(*self.ends[host], *self.ends[other])

    def segment(self, host: str, flags: int, seq: int, ack: int = 0, payload: bytes = b"") -> Segment:
        other = "server" if host == "client" else "client"
        numbers = (self.bases[host] + seq) % 2**32, (self.bases[other] + ack) % 2**32 if flags & ACK else 0
        return Segment(*self.ends[host], *self.ends[other], *numbers, flags, 1000, payload=payload)

    def sends(
        self, at: Instant, host: str, segment: Segment, *, fate: Fate = Fate.SENT, arrives: Instant | None = None
    ) -> Segment:
        other = "server" if host == "client" else "client"
        link = f"{host} > {other}"
        self.trace.entries.append(Moved(at, fate, link, host, segment))
        if arrives is not None:
            self.trace.entries.append(Moved(arrives, Fate.DELIVERED, link, other, segment))
        return segment

    def enters(self, at: Instant, host: str, state: State, until: Instant | None = None) -> None:
        self.trace.entries.append(Happened(at, host, Entered(self.key(host), state, until)))

    def drawn(self) -> list[str]:
        found = list(picture_lines(picture(self.trace), WIDTH))
        assert max(map(len, found)) <= WIDTH
        return found


def assert_drawn(tale: Tale, expected: str) -> None:
    shown = "\n".join(tale.drawn())
    assert shown == dedent(expected).strip("\n"), f"\n{shown}"


def test_a_normal_close_with_the_last_ack_lost() -> None:
    """RFC 9293 figure 12, and 3.10.7.4 eighth: TIME-WAIT acknowledges the repeated FIN and begins anew."""
    tale = Tale()
    tale.enters(0, "client", State.FIN_WAIT_1)
    tale.sends(0, "client", tale.segment("client", FIN | ACK, 1, 1), arrives=MS)
    tale.enters(MS, "server", State.CLOSE_WAIT)
    tale.sends(MS, "server", tale.segment("server", ACK, 1, 2), arrives=2 * MS)
    tale.enters(2 * MS, "client", State.FIN_WAIT_2)
    tale.trace.entries.append(Called(3 * MS, "server", "close(4)", "done", tale.key("server")))
    tale.enters(3 * MS, "server", State.LAST_ACK)
    fin = tale.sends(3 * MS, "server", tale.segment("server", FIN | ACK, 1, 2), arrives=4 * MS)
    tale.sends(4 * MS, "client", tale.segment("client", ACK, 2, 2), fate=Fate.LOST)
    tale.enters(4 * MS, "client", State.TIME_WAIT, 4 * MS + 60 * SECOND)
    tale.sends(204 * MS, "server", fin, arrives=205 * MS)
    tale.trace.entries.append(Happened(205 * MS, "client", Dropped(fin, Reason.TW_ANSWERED)))
    tale.enters(205 * MS, "client", State.TIME_WAIT, 205 * MS + 60 * SECOND)
    tale.sends(205 * MS, "client", tale.segment("client", ACK, 2, 2), arrives=206 * MS)
    tale.enters(206 * MS, "server", State.CLOSED)
    # Without a SYN numbers count from the first segment seen.
    assert_drawn(
        tale,
        """
                              client                                   server
                          192.0.2.1:40000                           192.0.2.2:80
           0.000000   FIN-WAIT-1 |-- FIN,ACK seq=0 ack=0 ---------------->| CLOSE-WAIT
           0.001000   FIN-WAIT-2 |<-------------------- ACK seq=0 ack=1 --|
           0.003000              |                            close(): ok |
           0.003000              |<---------------- FIN,ACK seq=0 ack=1 --| LAST-ACK
           0.004000    TIME-WAIT #-- ACK seq=1 ack=1 ----------x          |
                                 #   lost on the way                      |
                                 ~            ~ 200 ms later ~            ~
           0.204000    TIME-WAIT #<---------------- FIN,ACK seq=0 ack=1 --|
                                 #   not taken: in TIME-WAIT:             |
                                 #   answered with an ACK                 |
           0.205000              #-- ACK seq=1 ack=1 -------------------->: CLOSED
                                 ~             ~ 60 s later ~             ~
          60.205000     (CLOSED) :                                        :
        # in TIME-WAIT   : no connection   x lost   (CLOSED) due when the trace had
        ended
        """,
    )


def test_states_last_from_the_moment_they_were_entered() -> None:
    tale = Tale()
    tale.enters(0, "client", State.FIN_WAIT_2)
    tale.sends(0, "server", tale.segment("server", FIN | ACK, 1, 2), arrives=50 * MS)
    tale.enters(50 * MS, "client", State.TIME_WAIT, 50 * MS + 60 * SECOND)
    tale.sends(50 * MS, "client", tale.segment("client", ACK, 2, 2), arrives=70 * MS)
    (conversation,) = picture(tale.trace).conversations
    assert conversation.spans(LEFT if conversation.names[LEFT] == "client" else RIGHT) == [
        Span(State.FIN_WAIT_2, 0, 50 * MS, True),
        Span(State.TIME_WAIT, 50 * MS, 50 * MS + 60 * SECOND, False),
    ]


def test_a_simultaneous_close_crosses_on_the_way() -> None:
    """RFC 9293 figure 13: both FINs are under way at once."""
    tale = Tale()
    tale.sends(0, "client", tale.segment("client", ACK, 1, 1), arrives=0)
    first, second = (tale.segment(host, FIN | ACK, 1, 1) for host in ("client", "server"))
    tale.enters(MS, "client", State.FIN_WAIT_1)
    tale.sends(MS, "client", first)
    tale.enters(MS, "server", State.FIN_WAIT_1)
    tale.sends(MS, "server", second)
    for host, segment in (("server", first), ("client", second)):
        other = "server" if host == "client" else "client"
        tale.trace.entries.append(Moved(2 * MS, Fate.DELIVERED, f"{other} > {host}", host, segment))
        tale.enters(2 * MS, host, State.CLOSING)
    shown = tale.drawn()
    assert shown[3:7] == [
        "  0.001000   FIN-WAIT-1 |-- FIN,ACK seq=0 ack=0 ------------> (a) :",
        "  0.001000              | (b) <------------ FIN,ACK seq=0 ack=0 --| FIN-WAIT-1",
        "  0.002000              | (a) ----------------------------------->| CLOSING",
        "  0.002000      CLOSING |<----------------------------------- (b) |",
    ]


def test_what_the_network_does_is_marked() -> None:
    tale = Tale()
    syn = tale.sends(0, "client", tale.segment("client", SYN, 0), fate=Fate.HELD)
    data = tale.sends(MS, "client", tale.segment("client", PSH | ACK, 1, 1, b"12345"), arrives=MS)
    for at, fate, segment in ((2, Fate.RELEASED, syn), (3, Fate.REPLAYED, data)):
        tale.sends(at * MS, "client", segment, fate=fate, arrives=at * MS)
    tale.sends(4 * MS, "server", tale.segment("server", RST, 1), fate=Fate.INJECTED, arrives=4 * MS)
    shown = tale.drawn()
    assert shown[2:] == [
        "  0.000000              :-- SYN seq=0 ----------------=           :",
        "                        :   held back                             :",
        "  0.001000              :-- PSH,ACK seq=1 ack=0 len=5 ----------->:",
        "  0.002000              :        * -- SYN seq=0 ----------------->:",
        "                        :   let go                                :",
        "  0.003000              :        * -- PSH,ACK seq=1 ack=0 len=5 ->:",
        "                        :   replayed                              :",
        "  0.004000              :<----------------- RST seq=0 -- *        :",
        "                        :                              injected   :",
        ": no connection   = held back   * put there by the network",
    ]


def test_one_that_is_doubled_arrives_twice() -> None:
    tale = Tale()
    syn = tale.sends(0, "client", tale.segment("client", SYN, 0), fate=Fate.DUPLICATED, arrives=MS)
    tale.trace.entries.append(Moved(5 * MS, Fate.DELIVERED, "client > server", "server", syn))
    rows = picture(tale.trace).conversations[0].rows
    assert [(row.part.value, row.arrived) for row in rows] == [("whole", MS), ("arrives", 5 * MS)]
    assert "doubled on the way" in "\n".join(tale.drawn())


def again(tale: Tale, at: Instant) -> None:
    """Open and reset: one incarnation."""
    tale.bases["client"] += 1000
    tale.sends(at, "client", tale.segment("client", SYN, 0), arrives=at)
    tale.sends(at, "server", tale.segment("server", RST | ACK, 0, 1), arrives=at)


def test_incarnations_that_look_the_same_are_folded() -> None:
    tale = Tale()
    for at in range(500):
        again(tale, at * MS)
    (conversation,) = picture(tale.trace).conversations
    *rows, fold = conversation.items()
    assert len(rows) == 2
    assert isinstance(fold, Fold)
    assert (len(fold.rows), fold.words) == (998, "499 more like it")
    assert conversation.segments() == 1000


def test_what_is_long_loses_its_middle_and_says_how_much() -> None:
    tale = Tale()
    for at in range(1000):
        tale.sends(at * MS, "client", tale.segment("client", ACK, 1 + at, 1, b"x"), arrives=at * MS)
    items = picture(tale.trace).conversations[0].items()
    folds = [item for item in items if isinstance(item, Fold)]
    assert len(items) <= 60
    assert sum(len(fold.rows) for fold in folds) + len(items) - len(folds) == 1000
    assert len(tale.drawn()) <= 70


def test_conversations_that_look_the_same_are_one() -> None:
    trace = Trace()
    for port in range(1000, 1500):
        again(Tale(port, trace), port * MS)
    found = picture(trace)
    assert len(found.conversations) == 1
    assert len(found.conversations[0].alike) == 499
    text = "\n".join(picture_lines(found, WIDTH))
    assert "looks the same: 192.0.2.1:1001 > 192.0.2.2:80, " in text
    assert "and 495 more" in " ".join(text.split())


def test_a_refused_call_stands_beside_the_connection_that_is_in_its_way() -> None:
    tale = Tale()
    again(tale, 0)
    unknown = FourTuple(b"", 0, *tale.ends["server"])
    tale.trace.entries.append(Called(MS, "client", "connect(192.0.2.2:80)", "EADDRNOTAVAIL", unknown))
    assert "0.001000              : connect(): EADDRNOTAVAIL" in "\n".join(tale.drawn())
    elsewhere = FourTuple(b"", 0, SERVER, 81)
    tale.trace.entries.append(Called(MS, "client", "connect(192.0.2.2:81)", "ENETUNREACH", elsewhere))
    assert [each.result for each in picture(tale.trace).calls] == ["ENETUNREACH"]


def test_an_empty_trace_says_so() -> None:
    assert Tale().drawn() == ["no segment was sent"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["client", "server"]),
            st.sampled_from(list(Fate)),
            st.integers(0, 255),
            st.integers(0, 2**32 - 1),
            st.sampled_from([*State, None]),
            st.sampled_from([*Reason, None]),
        ),
        max_size=80,
    )
)
def test_whatever_happens_is_drawn_and_fits(
    moves: list[tuple[str, Fate, int, int, State | None, Reason | None]],
) -> None:
    tale = Tale()
    for at, (host, fate, flags, seq, state, reason) in enumerate(moves):
        segment = tale.segment(host, flags, seq, seq)
        tale.sends(at * SECOND, host, segment, fate=fate, arrives=at * SECOND + MS if seq % 2 else None)
        if state is not None:
            tale.enters(at * SECOND, host, state, at * SECOND * 100 if state is State.TIME_WAIT else None)
        if reason is not None:
            tale.trace.entries.append(Happened(at * SECOND + MS, host, Dropped(segment, reason)))
    tale.drawn()
