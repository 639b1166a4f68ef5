"""Having clients close spreads TIME-WAIT over more hosts with resources to spare."""

from timewait.lab.claim import Claim, bound, equals, essential, note

CLAIM = Claim(
    "14",
    "Having clients close spreads TIME-WAIT over more hosts with resources to spare.",
    ("RFC 9293 3.6: who sends the first FIN waits",),
    (
        essential(
            "5 clients close 8 connections each: records at each client",
            "who-holds-time-wait",
            "the clients close: at each client, at most",
            equals(8),
        ),
        essential("and at the server", "who-holds-time-wait", "the clients close: at the server", equals(0)),
        essential(
            "The server closes them instead: records at the server",
            "who-holds-time-wait",
            "the server closes: at the server",
            equals(40),
        ),
        bound(
            "A proxy with 8 ports closes first and serves 24 requests",
            "proxy-close-order",
            "the proxy closes first: requests served, of 24",
            equals(24),
            "the clients are many: a proxy is one client, with one range of ports towards its backend",
        ),
        note(
            "The backend closes first: requests that the same proxy serves",
            "proxy-close-order",
            "the backend closes first: requests served, of 24",
            equals(24),
        ),
    ),
)
