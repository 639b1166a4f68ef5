"""The Internet checksum (RFC 1071) over bytes, and the part of it that comes from the pseudo-header.

A one's complement sum of 16-bit words is the number itself modulo 65535, because 2^16 leaves 1.  CPython divides a
long integer by a small one faster than it adds up its words, so every sum here is a remainder.  0 and 65535 are the
same remainder: a sum of something that is not all zero stands for 65535 then (what `fill` relies on).
"""


def remainder(data: bytes) -> int:
    """Return the sum of the 16-bit words of `data`, an odd last byte padded with zero, from 0 to 65534.  RFC 1071."""
    if len(data) & 1:
        return int.from_bytes(data) * 256 % 65535
    return int.from_bytes(data) % 65535


def fill(total: int) -> int:
    """Return the checksum field for words that add up to `total` and are not all zero.  RFC 1071 section 1."""
    return -total % 65535


def pseudo(source: bytes, destination: bytes, protocol: int, size: int) -> int:
    """Return the sum over the pseudo-header, not folded.  RFC 9293 section 3.1; RFC 8200 section 8.1."""
    return int.from_bytes(source + destination) + protocol + size
