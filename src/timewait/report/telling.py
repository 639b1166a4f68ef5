"""What a conversation's rows say in words: labels of diagrams, sentences, the fields of a segment."""

from collections.abc import Iterator
from typing import Final

from timewait.clock import Instant, readable
from timewait.report.conversation import Arrow, Conversation, Gap, Part, Row
from timewait.trace import flag_names
from timewait.wire.segment import (
    ACK,
    MaximumSegmentSize,
    Option,
    Sack,
    SackPermitted,
    Timestamps,
    UnknownOption,
    WindowScale,
)

# Addresses of conversations that look the same, in a list.
_MOST_ALIKE: Final = 4


def alike_text(conversation: Conversation) -> str:
    """Return which other ends had a conversation that looks the same; empty where there is none."""
    alike = conversation.alike
    if not alike:
        return ""
    more = f" and {len(alike) - _MOST_ALIKE:,} more" if len(alike) > _MOST_ALIKE else ""
    return f"looks the same: {', '.join(alike[:_MOST_ALIKE])}{more}"


def outcome(conversation: Conversation) -> str:
    """Return the first call that was refused, to tell conversations apart by; empty where all went well."""
    return next((call_text(row) for row in conversation.rows if refused(row)), "")


def refused(row: Row) -> bool:
    """Whether a program was told of an error."""
    return bool(row.failed) or (row.called is not None and row.called.result.startswith("E"))


def call_text(row: Row) -> str:
    """Return a call without its arguments, and what it came to."""
    if row.called is None:
        return f"error: {row.failed}"
    name, result = row.called.call.partition("(")[0], row.called.result
    if result == "done" or (name in ("connect", "accept", "listen") and result.isdigit()):
        result = "ok"
    elif name == "send" and result.isdigit():
        result = f"{result} octets"
    return f"{name}(): {result}"


def numbers_text(arrow: Arrow, *, acked: bool = True) -> str:
    """Return the relative numbers of a segment; `acked`: what it acknowledges too."""
    segment = arrow.segment
    words = [f"seq={arrow.seq}"]
    if segment.flags & ACK and acked:
        words.append(f"ack={arrow.ack}")
    if segment.payload:
        words.append(f"len={len(segment.payload)}")
    return " ".join(words)


def moment_text(time: Instant, zero: Instant) -> str:
    """Return a time in seconds, to the microsecond."""
    return f"{(time - zero) / 1_000_000_000:.6f}"


def gap_text(gap: Gap) -> str:
    """Return how much time went by."""
    return f"{readable(gap.duration)} later"


def heard(row: Row, conversation: Conversation) -> str:
    """Return a row as it is read aloud: its time, and what happened."""
    return f"{moment_text(row.time, conversation.zero)} s: {row_words(row, conversation)}"


def row_words(row: Row, conversation: Conversation) -> str:
    """Return what happened in a row."""
    told = []
    if (arrow := row.arrow) is not None:
        who, far = (_name(conversation, side) for side in (arrow.side, 1 - arrow.side))
        what = f"{flag_names(arrow.segment.flags)} {numbers_text(arrow)}"
        if row.part is Part.ARRIVES:
            told.append(f"{what} arrives at {far}")
        elif arrow.sent:
            told.append(f"{who} sends {what}")
        else:
            told.append(f"{what} from {who}, {arrow.fate.value} by the network")
        if arrow.sent and arrow.words and row.part is not Part.ARRIVES:
            told.append(arrow.words)
        if row.reason is not None:
            told.append(f"{far} does not take it: {row.reason.meaning}")
    elif row.called is not None or row.failed:
        told.append(f"{_name(conversation, row.side)}: {call_text(row)}")
    for side, change in enumerate(row.states):
        if change is not None:
            told.append(f"{_name(conversation, side)} enters {change.state}")
    return "; ".join(told)


def _name(conversation: Conversation, side: int) -> str:
    return conversation.names[side] or conversation.address(side)


def fields(arrow: Arrow, row: Row, conversation: Conversation) -> Iterator[str]:
    """Yield all that a segment carries, line by line."""
    segment, zero = arrow.segment, conversation.zero
    yield f"{flag_names(segment.flags)}  {conversation.address(arrow.side)}"
    yield f"to {conversation.address(1 - arrow.side)}"
    times = [
        f"sent {moment_text(arrow.time, zero)} s" if arrow.sent else f"put there {moment_text(arrow.time, zero)} s"
    ]
    if row.arrived is not None and row.part is not Part.DEPARTS:
        times.append(f"arrived {moment_text(row.arrived, zero)} s")
    yield ", ".join(times)
    yield from carried(arrow)
    if arrow.words:
        yield arrow.words
    if row.reason is not None:
        counter = f" ({row.reason.counter})" if row.reason.counter else ""
        yield f"not taken: {row.reason.meaning}{counter}"


def carried(arrow: Arrow) -> Iterator[str]:
    """Yield the numbers and options of a segment."""
    segment = arrow.segment
    yield f"seq {segment.seq} (relative {arrow.seq})"
    if segment.flags & ACK:
        yield f"ack {segment.ack} (relative {arrow.ack})"
    yield f"window {segment.window}, {len(segment.payload)} octets of text"
    if options := [words for option in segment.options if (words := option_text(option))]:
        yield f"options: {', '.join(options)}"


def option_text(option: Option) -> str:
    """Return an option as people write it; nothing for padding."""
    match option:
        case MaximumSegmentSize(size):
            return f"MSS {size}"
        case WindowScale(shift):
            return f"window scale {shift}"
        case SackPermitted():
            return "SACK permitted"
        case Sack(blocks):
            return "SACK " + " ".join(f"{left}-{right}" for left, right in blocks)
        case Timestamps(value, echo):
            return f"timestamps {value} {echo}"
        case UnknownOption(kind, _):
            return f"option {kind}"
    return ""
