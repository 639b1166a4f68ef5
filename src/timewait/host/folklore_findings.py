"""Rules about settings that are passed on as remedies and do nothing, or harm."""

from collections.abc import Iterator
from typing import Final

from timewait.host.advice import setting
from timewait.host.finding import Advice, Finding, Severity, figure
from timewait.host.limits import timing
from timewait.host.look import Look
from timewait.host.snapshot import Snapshot

BUCKETS: Final = "net.ipv4.tcp_max_tw_buckets"
DEFAULT_BUCKETS: Final = 131072  # of a large host: half its hash entries, inet_hashinfo2_init and tcp_sk_init
_RECYCLE: Final = "net.ipv4.tcp_tw_recycle"


def folklore(look: Look) -> Iterator[Finding]:
    """Yield a finding for each such setting."""
    yield from _fin_timeout(look.snapshot)
    yield from _reuse(look)
    yield from _buckets(look)
    yield from _recycle(look.snapshot)


def _fin_timeout(snapshot: Snapshot) -> Iterator[Finding]:
    timeout = snapshot.number("net.ipv4.tcp_fin_timeout")
    if timeout is not None and timeout < 60:
        yield _note(
            *("fin-timeout-folklore", f"net.ipv4.tcp_fin_timeout = {timeout} does not shorten TIME-WAIT"),
            "it is the time of orphans in FIN-WAIT-2; TIME-WAIT lasts 60 s, fixed when the kernel is built",
            setting(snapshot, "net.ipv4.tcp_fin_timeout", "60", "leave it at 60"),
        )


def _reuse(look: Look) -> Iterator[Finding]:
    snapshot = look.snapshot
    opens, accepts = snapshot.counter("Tcp.ActiveOpens"), snapshot.counter("Tcp.PassiveOpens")
    if snapshot.number("net.ipv4.tcp_tw_reuse") != 1 or accepts < look.limits.accepts:
        return
    if opens <= accepts * look.limits.opens:
        yield _note(
            *("tw-reuse-folklore", "net.ipv4.tcp_tw_reuse = 1 does nothing here"),
            f"it is about connect() alone, and this host accepts: {accepts:,} accepted, {opens:,} opened so far",
            setting(snapshot, "net.ipv4.tcp_tw_reuse", "2", "leave it at the kernel's default"),
        )


def _buckets(look: Look) -> Iterator[Finding]:
    most = look.snapshot.number(BUCKETS)
    if most is not None and most < look.limits.small_buckets:
        rate = figure(most / timing(look.snapshot.hz).life_s)
        yield _note(
            *("small-buckets", f"{BUCKETS} = {most} is small"),
            f"above {rate} closes/s connections end without TIME-WAIT, to save a few MB",
            setting(look.snapshot, BUCKETS, str(DEFAULT_BUCKETS), "give it room", "at most 64 MB, if ever full"),
        )


def _recycle(snapshot: Snapshot) -> Iterator[Finding]:
    if snapshot.number(_RECYCLE):
        yield Finding(
            "tw-recycle",
            Severity.CRITICAL,
            "",
            f"{_RECYCLE} = 1 drops clients behind NAT",
            (("harm", "a SYN with an older timestamp than any other from that address is dropped without a word"),),
            (),
            (setting(snapshot, _RECYCLE, "0", "switch it off"),),
        )
    elif _RECYCLE not in snapshot.sysctls and snapshot.recycle_in:
        yield _note(
            *("tw-recycle-folklore", f"{_RECYCLE} is set in {', '.join(snapshot.recycle_in)} and does nothing"),
            "the kernel has no such setting since 4.12; before, it dropped clients behind NAT",
            Advice("take the line out: it fails at each start, and would harm on an old kernel"),
        )


def _note(name: str, headline: str, why: str, step: Advice) -> Finding:
    return Finding(name, Severity.NOTE, "", headline, (("why", why),), (), (step,))
