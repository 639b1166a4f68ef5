"""Packet scripts: the packetdrill language read, and run against the engine in virtual time or a real kernel.

Knows the language and what a script expects of a stack.  Leaves segments to `wire`, the engine to `tcp` and `sim`,
namespaces and devices to `system`, how a failure looks to `report`.
"""
