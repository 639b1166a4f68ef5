"""It matters only to monitoring systems, load generators and proxies."""

from timewait.lab.claim import Claim, equals, essential, note

CLAIM = Claim(
    "4",
    "It matters only to monitoring systems, load generators and proxies.",
    (
        "socket(7): SO_REUSEADDR",
        "ip(7): IP_BIND_ADDRESS_NO_PORT",
        "Documentation/networking/ip-sysctl.rst, ip_local_reserved_ports",
    ),
    (
        essential(
            "An ordinary service without SO_REUSEADDR can be restarted",
            "reuse-address",
            "old without, new without",
            equals("ok"),
        ),
        essential(
            "A single closed connection of some client does not keep a service from its port",
            "waiting-port-blocks-listen",
            "over TIME-WAIT: listen()",
            equals("ok"),
        ),
        essential(
            "A client with a port of its own, without timestamps, reconnects",
            "reconnect",
            "client closes, explicit port, timestamps off",
            equals("ok"),
        ),
        note(
            "Who does open many connections runs out: connect() then",
            "exhaustion",
            "then connect() gives",
            equals("EADDRNOTAVAIL"),
        ),
        note(
            "sooner if it binds to an address first: connects to a second destination",
            "late-binding",
            "bind() to port 0: then to the second",
            equals(0),
        ),
    ),
)
