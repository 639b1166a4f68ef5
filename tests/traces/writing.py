"""The scripts of `states/`, made from `answers` and `situations`: one a state, a case each event and place."""

from collections.abc import Iterator

from traces.answers import (
    ACK,
    ACK_ABOVE,
    ACK_AT,
    ACK_BELOW,
    ACK_OF_FIN,
    ANYWHERE,
    BEYOND,
    EVENTS,
    LEFT,
    MIDDLE,
    NOTHING,
    OUTSIDE_LEFT,
    OUTSIDE_RIGHT,
    RIGHT,
    RST,
    RST_ACK,
    RST_ACK_OF_ALL,
    SYN_ACK,
    SYNCHRONISED,
    Answers,
    Rule,
    freebsd,
    linux,
    places,
    rfc9293,
)
from traces.situations import (
    CLOSED,
    LISTEN,
    NUMBERS,
    SITUATIONS,
    SYN_RECEIVED,
    SYN_SENT,
    TIME_WAIT,
    Situation,
)

TABLES = (*rfc9293.TABLES, *freebsd.TABLES, *linux.TABLES)
LETTERS = {"SYN": "S", "SYN-ACK": "S.", "SYN-FIN": "SF", "ACK": ".", "FIN": "F", "FIN-ACK": "F.", "RST": "R"}
LETTERS["RST-ACK"] = "R."

FAMILY = """\
#ifdef IPV6
--ip_version=ipv6
--mtu=1520  // as large a segment as with IPv4
#endif
"""


def scripts() -> Iterator[tuple[str, str]]:
    """Yield every script: its path below `states/` and its text."""
    for table in TABLES:
        for state in table.states:
            cases = [case for event in table.only for case in cases_of(table, state, event)]
            folder = "/".join(part for part in (table.stack, table.name) if part)
            yield f"{folder}/{state.lower()}.pkt", "\n".join((heading(table, state), *cases))


def heading(table: Answers, state: str) -> str:
    """Return what stands before the first case."""
    situation = table.situation(state)
    r, s, w = situation.r, situation.s, window(table, situation)
    text = f"// {table.title}, {state}: what each event draws.  RCV.NXT = {r}, SND.NXT = {s}, RCV.WND = {w}.\n"
    text += f"// Made by scripts/traces from tests/traces/answers; not to be edited.\n{FAMILY}"
    if table.tolerance:
        text += "// A busy machine keeps a script waiting: what counts is the order of segments, not milliseconds.\n"
        text += f"--tolerance_usecs={table.tolerance}\n"
    return text + "".join(f"`{switch}`\n" for switch in table.switches)


def cases_of(table: Answers, state: str, event: str) -> Iterator[str]:
    """Yield the cases of an event in a state, place by place."""
    for place in places(event, state):
        yield case(table, state, event, place)


def case(table: Answers, state: str, event: str, place: str) -> str:
    """Return one connection's life: into the state, the event, the answer, a look at the state, the end."""
    rule = table.rule(event, state, place)
    situation = table.situation(state)
    after = rule.after.get(state, state)
    becomes = "" if after == state else f", {after}"
    where = "" if place == ANYWHERE else f", {place}"
    seq = number(situation, place, window(table, situation))
    lines = [
        f"// {event}{where}: {rule.sends}{becomes}",
        f"//   {rule.source}",
        situation.lines.replace("+0", table.gap, 1).rstrip(),
        f"+0 < {arriving(event, seq, acknowledged(situation, place))}",
        *answers(rule, event, seq, situation, acknowledged(situation, place)),
    ]
    if state == SYN_SENT and place in (ACK_BELOW, ACK_ABOVE) and table.again:
        lines.append(table.again)
    lines += looks(table, state, after, situation, rule.sends == ACK_OF_FIN)
    return "\n".join(lines) + "\n"


def window(table: Answers, situation: Situation) -> int:
    """Return RCV.WND in a situation."""
    return table.window_after_fin if situation.r == 2 else table.window


def number(situation: Situation, place: str, w: int) -> int:
    """Return SEG.SEQ for a place."""
    offsets = {LEFT: 0, MIDDLE: w // 2, RIGHT: w - 1, OUTSIDE_LEFT: -1, OUTSIDE_RIGHT: w, BEYOND: w + 1}
    if place in offsets:
        return situation.r + offsets[place]
    return 0 if situation.lines == SITUATIONS[SYN_SENT].lines else situation.r


def acknowledged(situation: Situation, place: str) -> int:
    """Return SEG.ACK: all that was sent, but in SYN-SENT, where it makes the difference."""
    return {ACK_BELOW: 0, ACK_AT: 1, ACK_ABOVE: 2}.get(place, situation.s)


def arriving(event: str, seq: int, ack: int) -> str:
    """Return the segment of an event."""
    letters = LETTERS[event]
    parts = [letters, f"{seq}:{seq}(0)"]
    if "." in letters:
        parts.append(f"ack {ack}")
    parts.append("win 0" if "R" in letters else "win 32792")
    if "S" in letters:
        parts.append("<mss 1000>")
    return " ".join(parts)


def answers(rule: Rule, event: str, seq: int, situation: Situation, ack: int) -> Iterator[str]:
    """Yield the line of what is sent, if anything is."""
    r, s = situation.r, situation.s
    length = ("S" in LETTERS[event]) + ("F" in LETTERS[event])
    opened = seq + 1 if situation.s != 1 else 1  # out of SYN-SENT and SYN-RECEIVED it is the first SYN that counts
    sent = {
        NOTHING: "",
        ACK: f". {s}:{s}(0) ack {r}",
        ACK_OF_FIN: f". {s}:{s}(0) ack {r + 1}",
        SYN_ACK: f"S. 0:0(0) ack {opened} <...>",
        RST: f"R {ack}:{ack}(0)",
        RST_ACK: f"R. {s}:{s}(0) ack {r}",
        RST_ACK_OF_ALL: f"R. 0:0(0)! ack {seq + length}",
    }[rule.sends]
    if sent:
        yield f"+0 > {sent}"


def looks(table: Answers, before: str, after: str, situation: Situation, finished: bool) -> Iterator[str]:
    """Yield how the script sees which state it is now, and the end of the connection."""
    r, s = situation.r + finished, situation.s
    numbers = NUMBERS[table.system]
    held = before not in (CLOSED, LISTEN, SYN_RECEIVED)
    yield f"// {after}:"
    if before in (CLOSED, LISTEN):
        if after == SYN_RECEIVED:
            yield "+0 < R 1:1(0) win 0"
    elif before == SYN_SENT:
        if after == CLOSED:
            yield "+0 getsockopt(4, SOL_SOCKET, SO_ERROR, [ECONNREFUSED], [4]) = 0"
            yield "+0 < . 1:1(0) ack 1 win 32792"
            yield "+0 > R 1:1(0)"
        else:
            if after == SYN_RECEIVED:
                yield "+0 < . 1:1(0) ack 1 win 32792"
            elif after == SYN_SENT:
                yield "+0 < S. 0:0(0) ack 1 win 32792 <mss 1000>"
                yield "+0 > . 1:1(0) ack 1"
            yield f"+0 %{{ assert tcpi_state == {numbers['ESTABLISHED']} }}%"
            yield "+0 < R. 1:1(0) ack 1 win 0"
    elif after in (CLOSED, LISTEN):
        yield f"+0 < . {r}:{r}(0) ack {s} win 32792"
        yield f"+0 > R {s}:{s}(0)"
    elif after == SYN_RECEIVED:
        descriptor = 5 if held else 4
        if not held:
            yield "+0 accept(3, ..., ...) = -1 EAGAIN (Resource temporarily unavailable)"
        yield "+0 < . 1:1(0) ack 1 win 32792"
        yield f"+0 accept(3, ..., ...) = {descriptor}"
        yield "+0 < R. 1:1(0) ack 1 win 0"
        yield f"+0 close({descriptor}) = 0"
    elif after == TIME_WAIT:
        yield f"+0 < F. {r - 1}:{r - 1}(0) ack {s} win 32792"
        yield f"+0 > . {s}:{s}(0) ack {r}"
        yield f"+0 %{{ assert tcpi_state == {numbers[after]} }}%"
        yield f"+0 < R. {r}:{r}(0) ack {s} win 0"
    else:
        assert after in SYNCHRONISED
        if not held:
            yield "+0 accept(3, ..., ...) = 4"
            held = True
        yield f"+0 %{{ assert tcpi_state == {numbers[after]} }}%"
        yield f"+0 < R. {r}:{r}(0) ack {s} win 0"
    if held or before == CLOSED:
        yield "+0 close(4) = 0"
    if situation.listens:
        yield "+0 close(3) = 0"


__all__ = ["EVENTS", "TABLES", "scripts"]
