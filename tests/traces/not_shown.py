"""The behaviours, by their ids in `tests/tcp/test_behaviours.py`, and why no packet script shows some of them."""

from typing import Final

# Letter -> how many.  A: closing by our user, B: FIN-WAIT-1, C: FIN-WAIT-2, D: the passive closer and CLOSING, E: RST,
# F: SYN, G: other segments, H: TIME-WAIT, I: ports.
COUNTS: Final = {"A": 20, "B": 13, "C": 6, "D": 15, "E": 7, "F": 7, "G": 3, "H": 33, "I": 7}
IDS: Final = tuple(f"{letter}{number}" for letter, count in COUNTS.items() for number in range(1, count + 1))

NOT_SHOWN: Final = {
    "B12": "a FIN is given up after doubled timeouts, minutes of a kernel's time; tests/tcp plays it",
    "D9": "a window that is closed takes a buffer smaller than kernels allow; tests/tcp plays it",
    "D14": "whether a read sends a window update hangs on buffer sizes that each stack rounds its own way; tests/tcp",
    "G3": "an ACK below the initial number cannot be written: a script counts from it; tests/tcp plays it",
    "H20": "a script learns the new ISN from the SYN-ACK, so it cannot expect one; tests/tcp plays it",
    "H23": "RFC 793's rule in TIME-WAIT: none of the three stacks has it; tests/tcp plays it on another",
    "I3": "a script's host has one address; tests/lab has more",
    "I4": "it is the stack that chooses the port, and a script that follows; tests/lab plays it",
    "I5": "two connections of one four-tuple in one script: its packets could belong to either; tests/lab plays it",
}
