"""What a script says of an IP header: `[ect0]`, `(tos 0x10)`, `[ecn ce, ttl 1]`."""

from lark import Token

from timewait.script.mistake import MistakeError, near
from timewait.script.syntax import NO_IP_FIELDS, IpFields, Place

_ECN = ("noecn", "ect0", "ect1", "ect01", "ce")
_NUMBERS = {"tos": ("tos", 256), "class": ("tos", 256), "ttl": ("ttl", 256), "hlim": ("ttl", 256)} | {
    "flowlabel": ("flow_label", 1 << 20)
}
# RFC 2474 (CS), RFC 2597 (AF), RFC 3246 (EF), RFC 5865 (VOICE-ADMIT), RFC 8622 (LE).
_DSCP = (
    {f"cs{n}": n << 3 for n in range(8)}
    | {f"af{n}{drop}": (n << 3) | (drop << 1) for n in range(1, 5) for drop in range(1, 4)}
    | {"ef": 46, "voice_admit": 44, "voice-admit": 44, "le": 1, "df": 0}
)


def read(token: Token | None, *, inbound: bool) -> IpFields:
    """Return what `[..]` says; nothing for None."""
    if token is None:
        return NO_IP_FIELDS
    at = Place(token.line or 1, (token.column or 1) + 1)
    said: dict[str, str | int] = {}
    for item in token[1:-1].split(","):
        name, value = _one(item.split(), at)
        if name in said:
            raise MistakeError(at, f"{item.strip()}: that field is said already", "each field once")
        said[name] = value
    ecn, tos, dscp = said.get("ecn"), said.get("tos"), said.pop("dscp", None)
    if dscp is not None:
        if tos is not None or ecn == "ect01":
            raise MistakeError(at, "dscp goes with an exact ecn, or alone", "such as [dscp af11, ecn ect0]")
        bits = ("noecn", "ect1", "ect0", "ce").index(str(ecn or "noecn"))
        said = {key: value for key, value in said.items() if key != "ecn"} | {"tos": (int(dscp) << 2) | bits}
    if ecn == "ect01" and inbound:
        raise MistakeError(at, "[ect01] is for packets that the stack sends (>)", "ect0 or ect1")
    return IpFields(**said)  # type: ignore[arg-type]  # names and types as _one gives them


def _one(words: list[str], at: Place) -> tuple[str, str | int]:
    if words and words[0] == "ecn":
        words = words[1:]
    name = words[0] if words else ""
    if name in _ECN and len(words) == 1:
        return "ecn", name
    if name == "dscp" and len(words) == 2:
        if words[1].lower() not in _DSCP:
            raise MistakeError(at, f"unknown dscp {words[1]!r}", near(words[1], _DSCP, "known"))
        return "dscp", _DSCP[words[1].lower()]
    if name in _NUMBERS and len(words) == 2:
        field, below = _NUMBERS[name]
        try:
            value = int(words[1], 0) if len(words[1]) < 20 else -1
        except ValueError:
            value = -1
        if not 0 <= value < below:
            raise MistakeError(at, f"{name} {words[1][:20]!r} is out of range", f"from 0 to {below - 1}, such as 0x10")
        return field, value
    known = (*_ECN, *_NUMBERS, "dscp")
    raise MistakeError(
        at, f"expected a field of the IP header, found {' '.join(words)[:40]!r}", near(name, known, "known")
    )
