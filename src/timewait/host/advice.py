"""The words and commands of advice, in order of preference.  Commands are printed, never run."""

from typing import Final

from timewait.host.budget import DEFAULT_RANGE, Budget, Pool
from timewait.host.finding import Advice
from timewait.host.snapshot import Snapshot

_SCOPE: Final = "this network namespace"
_WIDE: Final = (1024, 65535)

NOT_FIN_TIMEOUT: Final = "tcp_fin_timeout (it never touches TIME-WAIT)"
NOT_RECYCLE: Final = "tcp_tw_recycle (gone since Linux 4.12, and it broke clients behind NAT)"
NOT_BUCKETS: Final = "a small tcp_max_tw_buckets (connections then close without TIME-WAIT)"


def setting(snapshot: Snapshot, name: str, value: str, do: str, cost: str = "") -> Advice:
    """Return the advice to set a sysctl, with the command for this namespace and the one that takes it back."""
    old = snapshot.sysctls.get(name)
    return Advice(
        do,
        cost,
        _command(snapshot.namespace, name, value),
        _SCOPE,
        "" if old is None else _command(snapshot.namespace, name, old),
    )


def machine_setting(snapshot: Snapshot, name: str, value: str, do: str, cost: str = "") -> Advice:
    """Return the advice to set a sysctl that only the first network namespace may write, for all of them."""
    old = snapshot.sysctls.get(name)
    undo = "" if old is None else _command("1", name, old)
    return Advice(do, cost, _command("1", name, value), "the whole machine", undo)


def _command(namespace: str, name: str, value: str) -> str:
    quoted = f'"{value}"' if " " in value or not value else value
    return _entered(namespace, f"sysctl -w {name}={quoted}")


def _entered(namespace: str, command: str) -> str:
    """Return a command that is run in a network namespace, "" for the caller's own."""
    if not namespace:
        return command
    return f"nsenter -t {namespace} -n {command}" if namespace.isdecimal() else f"ip netns exec {namespace} {command}"


def forget_time_wait(snapshot: Snapshot, port: int) -> Advice:
    """Return the advice to have the kernel forget what waits on a local port: tcp_abort, net/ipv4/tcp.c."""
    command = f"ss -K -t state time-wait sport = :{port}"
    return Advice(
        "or have the kernel forget them",
        "old segments are no longer kept out (RFC 1337); needs root and CONFIG_INET_DIAG_DESTROY; no undo",
        _entered(snapshot.namespace, command),
        f"TIME-WAIT on port {port} of {_SCOPE}",
    )


def look_again(snapshot: Snapshot, do: str, command: str) -> Advice:
    """Return the advice to ask this program something else about the same namespace; that changes nothing."""
    where = f" --netns {snapshot.namespace}" if snapshot.namespace else ""
    return Advice(do, "", command + where)


def not_these(*what: str) -> Advice:
    """Return the advice to leave these alone."""
    return Advice("not: " + "; ".join(what))


def for_ports(snapshot: Snapshot, budget: Budget, pool: Pool) -> tuple[Advice, ...]:
    """Return what gives a destination more ports, the best first."""
    live = sum(count for state, count in budget.by_state.items() if state in ("ESTABLISHED", "SYN-SENT"))
    steps = [
        Advice(
            f"keep connections open: a pool of {live:,} ({live / max(1, budget.size):.1%} of the range) carries what "
            "is open now (Little's law)"
            if live
            else "keep connections open and use them again (a pool, HTTP keep-alive)",
            "needs a change of the client; an idle connection may be closed by the other end",
        )
    ]
    steps += reuse(snapshot)
    if pool.low > _WIDE[0] + 4096 or pool.high < DEFAULT_RANGE[1]:
        wider = (_WIDE[1] - _WIDE[0] + 1) / max(1, pool.high - pool.low + 1)
        steps.append(
            setting(
                snapshot,
                "net.ipv4.ip_local_port_range",
                f"{_WIDE[0]} {_WIDE[1]}",
                f"widen the range of ports: {wider:.1f} times as many",
                "ports of services must be reserved first (net.ipv4.ip_local_reserved_ports)",
            )
        )
    steps.append(Advice("let the other end close first: its TIME-WAIT does not use up ports here"))
    steps.append(Advice("connect to, or from, one more address or port: each pair has a budget of its own"))
    steps.append(not_these(NOT_FIN_TIMEOUT, NOT_RECYCLE))
    return tuple(steps)


def reuse(snapshot: Snapshot) -> list[Advice]:
    """Return the advice to have connect() take over old TIME-WAITs, where that is not so already."""
    steps = []
    if snapshot.number("net.ipv4.tcp_timestamps") == 0:
        steps.append(timestamps_on(snapshot))
    if snapshot.number("net.ipv4.tcp_tw_reuse") != 1:
        delay = snapshot.number("net.ipv4.tcp_tw_reuse_delay")
        after = "1 to 2 s" if delay is None else f"{delay / 1000:g} s"
        steps.append(
            setting(
                snapshot,
                "net.ipv4.tcp_tw_reuse",
                "1",
                f"have connect() take ports over after {after}",
                "both ends need timestamps; no help for bind() to port 0, nor for FIN-WAIT-2",
            )
        )
    return steps


def timestamps_on(snapshot: Snapshot) -> Advice:
    """Return the advice to switch timestamps on."""
    return setting(
        snapshot,
        "net.ipv4.tcp_timestamps",
        "1",
        "switch timestamps on",
        "12 bytes in each segment; connections made before stay without",
    )
