"""Why a run of the founding experiment came out as it did: derived from what was observed, in plain words.

Pure: a record in, sentences out.
"""

from dataclasses import dataclass, field
from typing import Final

from timewait.clock import SECOND, readable
from timewait.lab.catalog.reconnect import Attempt, PeerClose, Record, turns
from timewait.lab.rules import Rule

# What a full socket on the client's four-tuple means, by its state.
_FULL: Final = {
    "FIN-WAIT-1": "Its FIN has not been acknowledged yet: the receiver may delay that ACK by some 40 ms while its "
    "program keeps the connection open.",
    "FIN-WAIT-2": "The program closed only its sending side, or FIN-WAIT-2 may last longer than 60 s here.",
    "CLOSE-WAIT": "The server closed, the client's program never did: its end stays in CLOSE-WAIT for as long as the "
    "program holds it.",
    "LAST-ACK": "Its FIN has not been acknowledged yet.",
    "CLOSING": "Both sides closed at once, and its FIN has not been acknowledged yet.",
    "ESTABLISHED": "The connection is still open.",
}

# Counters worth a reader's time, in the order in which they are shown.
COUNTERS: Final = (
    "TcpExt.TW",
    "TcpExt.TWRecycled",
    "TcpExt.TWKilled",
    "TcpExt.TCPTimeWaitOverflow",
    "TcpExt.PAWSTimewait",
    "TcpExt.PAWSEstab",
    "TcpExt.TCPACKSkippedTimeWait",
    "TcpExt.TCPChallengeACK",
    "TcpExt.TCPSYNChallenge",
    "TcpExt.TCPSynRetrans",
    "TcpExt.TCPAbortOnData",
    "TcpExt.TCPAbortOnClose",
    "TcpExt.ListenDrops",
    "Tcp.ActiveOpens",
    "Tcp.PassiveOpens",
    "Tcp.AttemptFails",
    "Tcp.EstabResets",
    "Tcp.OutRsts",
)


@dataclass(slots=True)
class Explanation:
    """What happened, which rule decided, and which single options would turn the result around."""

    happened: str
    rule: Rule | None
    sentences: list[str] = field(default_factory=list)
    turns: list[str] = field(default_factory=list)


def explain_run(record: Record) -> Explanation:
    """Explain one run."""
    failure = record.failure
    decided = failure or (record.attempts[-1] if record.attempts else None)
    explanation = Explanation(_happened(record), decided.rule if decided else None)
    if decided is None or decided.rule is None or decided.situation is None:
        explanation.sentences.append("Too few connects to tell anything: the four-tuple has to be used a second time.")
        return explanation
    explanation.sentences += [
        *_holders(decided),
        *_rule(decided),
        *_stale_peer(record),
        *_slow(record),
        *_first_account(record, decided.rule),
        *_aftermath(record),
    ]
    if decided.rule.id != "unexplained":
        explanation.turns = turns(record)
    return explanation


def _happened(record: Record) -> str:
    connected = f"{record.connected} connect{'s' * (record.connected != 1)} succeeded"
    if record.failure:
        failed = record.failure
        return f"{connected}, then number {failed.number} failed: {failed.error} from {failed.call}()"
    if record.interrupted:
        return f"{connected} until the run was interrupted"
    return f"all {connected}" if record.connected > 1 else connected


def _holders(attempt: Attempt) -> list[str]:
    """Say which end held what when connect() was called."""
    assert attempt.situation is not None
    held = [
        f"the {role}'s end was in {holder}"
        for role, holder in (("client", attempt.situation.client), ("server", attempt.situation.server))
        if holder is not None
    ]
    which = "refused" if not attempt.ok else "last"
    if not held:
        return [f"Before the {which} connect neither end held anything on the four-tuple."]
    return [f"Just before the {which} connect {' and '.join(held)}."]


def _rule(attempt: Attempt) -> list[str]:
    assert attempt.rule is not None
    assert attempt.situation is not None
    if attempt.rule.id == "unexplained":
        done = "went through" if attempt.ok else f"gave {attempt.error}"
        return [f"connect() {done}, and none of the rules known here gives that: please report this output."]
    verb = "Allowed" if attempt.ok else "Refused"
    found = [f"{verb}: {attempt.rule.says}."]
    if attempt.rule.id == "full-socket" and attempt.situation.client is not None:
        found.append(_FULL.get(attempt.situation.client.state, ""))
    if attempt.rule.id == "listener-reopens":
        found.append(
            "A newer timestamp is enough, whatever the sequence number."
            if attempt.situation.timestamps
            else "Without timestamps the SYN has to carry a sequence number above the old connection's last one."
        )
    return found


def _stale_peer(record: Record) -> list[str]:
    """Tell of reconnects that met the server's old, never closed connection."""
    met = [
        (attempt.took, attempt.situation.server)
        for attempt in record.attempts
        if attempt.ok and attempt.situation and attempt.situation.server and not attempt.situation.server.mini
    ]
    if record.failure or not met or not record.counters.get("TcpExt.TCPChallengeACK"):
        return []
    slowest, holder = max(met, key=lambda pair: pair[0])
    return [
        f"The server's old connection was still there ({holder}) and had to be cleared away.",
        "It answered the SYN with a challenge ACK (RFC 5961 4), the client's RST ended it, the SYN was sent again.",
        f"That took up to {readable(slowest)}.",
    ]


def _slow(record: Record) -> list[str]:
    slow = [attempt for attempt in record.attempts if attempt.took >= SECOND * 9 // 10]
    if not slow:
        return []
    repeated = record.counters.get("TcpExt.TCPSynRetrans", 0)
    took = readable(slow[0].took)
    return [f"Number {slow[0].number} took {took}: a SYN went unanswered and was repeated (TCPSynRetrans +{repeated})."]


def _first_account(record: Record, rule: Rule) -> list[str]:
    """Say that this run failed where the experiment was first told of."""
    if not repeats_first_account(record, rule):
        return []
    return [
        "The first account of this experiment (Linux 4.0) saw EADDRNOTAVAIL here.",
        "The rule was the same then; so, it seems, that connection had no timestamps, or was not in TIME-WAIT yet.",
    ]


def repeats_first_account(record: Record, rule: Rule | None) -> bool:
    """Return whether this is the run that once failed with EADDRNOTAVAIL, and now did not."""
    prompt = record.parameters.peer_close is PeerClose.PROMPT
    return prompt and record.failure is None and rule is not None and rule.id == "bound-port-reuses"


def _aftermath(record: Record) -> list[str]:
    """What the run leaves: nothing in a private namespace, TIME-WAIT on the machine's own stack."""
    found = []
    if record.parameters.linger0:
        found.append("SO_LINGER zero resets: the other side reads ECONNRESET, and what was not sent yet is lost.")
    if not record.private and any(row.mini for row in record.sockets):
        left = max(row.time_left or 0 for row in record.sockets)
        found.append(f"On the machine's own stack the four-tuple stays taken for {readable(left)} more.")
    return found
