"""Hosts, links and faults in virtual time: a network that the engine's stacks hang on.

Knows how segments travel and what may befall them; everything random comes from one seed.  Leaves TCP to `tcp`, and
calls that look blocking to `lab`.  Opens no socket or file, reads no clock.
"""
