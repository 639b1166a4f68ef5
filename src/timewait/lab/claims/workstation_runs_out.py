"""A workstation hardly ever runs out of ports."""

from timewait.lab.claim import Claim, at_most, bound, equals, essential

CLAIM = Claim(
    "19",
    "A workstation hardly ever runs out of ports.",
    (
        "Documentation/networking/ip-sysctl.rst, ip_local_port_range: 28,232 ports towards each destination",
        "28,232 ports / 61.5 s: 459 connects a second to one destination, for a minute",
    ),
    (
        essential(
            "10 connects a second to one place, for 65 s: refused",
            "everyday-load",
            "connects refused",
            equals(0),
        ),
        essential("and of 28,232 ports in use at most", "everyday-load", "ports held at most", at_most(2823)),
        bound(
            "Whoever connects as fast as possible goes on, 8 ports for 61.5 s: connect() then",
            "exhaustion",
            "then connect() gives",
            equals("ok"),
            "it runs no load test or scan: more than 459 connects a second to one destination, for a minute",
        ),
        bound(
            "A program that binds before it connects has the range for each destination anew",
            "late-binding",
            "bind() to port 0: then to the second",
            equals(8),
            "its programs leave the port to connect(), so that each destination has its own range",
        ),
    ),
)
