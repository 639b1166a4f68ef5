"""One host's TCP: segments, user calls and the time go in; events come out.

Knows RFC 9293 and how real stacks differ from it, as data (`profiles`).  Leaves bytes to `wire`, delivery and the
passing of time to whoever holds the `Stack`: no socket, clock, file, thread or random number of its own.
"""
