"""The kernel's TCP counters, of this process's network namespace.

/proc/net/netstat and /proc/net/snmp (pairs of lines: names, values), /proc/net/sockstat and sockstat6 (name value name
value).  net/ipv4/proc.c.
"""

from timewait.errors import UnavailableError

_PAIRED = ("netstat", "snmp")
_NAMED = ("sockstat", "sockstat6")


def counters() -> dict[str, int]:
    """Return all of them by name: `TcpExt.TWRecycled`, `Tcp.ActiveOpens`, `sockstat.TCP.tw`, `sockstat6.TCP6.inuse`.

    A file that this kernel does not have (IPv6 switched off) adds nothing.
    """
    found: dict[str, int] = {}
    for name in _PAIRED:
        found.update(paired(_text(name), name))
    for name in _NAMED:
        found.update(named(_text(name), name))
    return found


def sockstat() -> dict[str, int]:
    """Return the socket counts alone, which cost the least to read."""
    return named(_text("sockstat"), "sockstat")


def _text(name: str) -> str:
    try:
        with open(f"/proc/net/{name}") as file:
            return file.read()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise UnavailableError(f"/proc/net/{name} cannot be read: {error.strerror}") from None


def paired(text: str, name: str = "netstat") -> dict[str, int]:
    """Read lines that come in pairs, `TcpExt: A B` above `TcpExt: 1 2`."""
    found: dict[str, int] = {}
    lines = text.splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=False):
        group, _, rest = names.partition(":")
        other, _, numbers = values.partition(":")
        if group != other:
            raise UnavailableError(f"/proc/net/{name} is not pairs of lines: {group!r} stands above {other!r}")
        for key, value in zip(rest.split(), numbers.split(), strict=False):
            found[f"{group}.{key}"] = _number(value, name)
    return found


def named(text: str, name: str = "sockstat") -> dict[str, int]:
    """Read lines of names and values in turn, `TCP: inuse 4 orphan 0`."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        group, _, rest = line.partition(":")
        words = rest.split()
        for key, value in zip(words[::2], words[1::2], strict=False):
            found[f"{name}.{group}.{key}"] = _number(value, name)
    return found


def _number(text: str, name: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UnavailableError(f"/proc/net/{name} holds {text!r} where a number was expected") from None


def moved(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """Return by how much each counter changed, those that did not left out."""
    return {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)}
