"""Bytes <-> values, no state: sequence numbers, segments, options, IP, ICMP errors, captures.

Knows the formats of the wire.  Leaves every decision about them to `tcp` and every delivery to `sim` and `system`.
"""
