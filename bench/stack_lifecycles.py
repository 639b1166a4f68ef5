"""How many connection lifecycles (connect, accept, close both sides) two stacks do in a CPU second, without codec.

    python bench/stack_lifecycles.py [PROFILE ...]

One line a profile: connections open at once, lifecycles per CPU second of the whole process, and the same per stack.
"""

import sys
import time
from collections import deque

from timewait.clock import SECOND, US
from timewait.tcp import profiles
from timewait.tcp.events import Event, Send
from timewait.tcp.stack import Stack

CLIENT, SERVER = b"\x0a\0\0\1", b"\x0a\0\0\2"


def run(name: str, lifecycles: int, at_once: int) -> float:
    """Return lifecycles per CPU second with `at_once` connections open at a time; the client closes first."""
    profile = profiles.get(name).changed(ephemeral_range=(1024, 65535))
    stacks = Stack(profile, [CLIENT], secret=b"c"), Stack(profile, [SERVER], secret=b"s")
    client, server = stacks
    listener = server.socket()
    server.bind(listener, b"", 80)
    server.listen(listener, 1000)
    now = SECOND
    queue: deque[tuple[int, list[Event]]] = deque()

    def carry(who: int, events: list[Event]) -> None:
        queue.append((who, events))
        while queue:
            sender, batch = queue.popleft()
            for event in batch:
                if type(event) is Send:
                    queue.append((1 - sender, stacks[1 - sender].receive(event.segment, now)))

    began = time.process_time()
    open_ones: deque[tuple[int, int]] = deque()
    for _ in range(lifecycles):
        now += 1500 * US
        handle = client.socket()
        error, events = client.connect(handle, SERVER, 80, now)
        assert error is None
        carry(0, events)
        accepted = server.accept(listener)
        assert isinstance(accepted, int)
        open_ones.append((handle, accepted))
        if len(open_ones) >= at_once:
            ours, theirs = open_ones.popleft()
            carry(0, client.close(ours, now)[1])
            carry(1, server.close(theirs, now)[1])
        for who, stack in enumerate(stacks):
            due = stack.next_deadline()
            if due is not None and due <= now:
                carry(who, stack.expire(now))
    return lifecycles / (time.process_time() - began)


def main() -> None:
    for name in sys.argv[1:] or ["rfc9293", "freebsd", "linux"]:
        for at_once in (1, 1000, 10_000):
            rate = run(name, 20_000, at_once)
            print(f"{name:12} {at_once:6} at once  {rate:8.0f} lifecycles/s, both ends  {2 * rate:8.0f}/s a stack")


if __name__ == "__main__":
    main()
