"""`Process`: system calls by name with plain values, as a program would make them, one of them perhaps still blocking.

Part of the agent.  Descriptors are numbered as a new process would number them, from 3 on, whatever the agent itself
has open.  Every errno is a value; what the arguments mean is for who asks.
"""

import ctypes
import errno
import fcntl
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from timewait.clock import SECOND, Duration, Instant

_INT: Final = struct.Struct("i")
# A script that asks for more is a mistake, and would only fill this machine's memory.
_LARGEST: Final = 1 << 28
# More than any control message here has.
_CONTROL: Final = 4096
_FIONBIO: Final = 0x5421  # include/uapi/asm-generic/ioctls.h


class Ended(NamedTuple):
    """How a call ended: its value, the errno's name or "", what it wrote, and when it began and ended."""

    value: int
    error: str
    out: Any
    began: Instant
    ended: Instant


class _File:
    """A descriptor that is no socket: a file, or one end of a pipe."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        os.close(self._descriptor)


class Process:
    """Descriptors, and the thread in which a call may block."""

    def __init__(self) -> None:
        self._open: dict[int, Any] = {}
        self._ended: Ended | None = None
        self._done = threading.Event()
        self._done.set()

    def call(self, name: str, arguments: tuple[Any, ...], patience: Duration) -> Ended | None:
        """Make a call; None if it has not returned within `patience`: `finish` has its end.

        One call at a time.  Raises `KeyError` for a call there is not, as only a program's mistake can bring it here.
        """
        work = getattr(self, f"_{name}")
        self._done.clear()
        threading.Thread(target=self._run, args=(work, arguments), daemon=True).start()
        return self.finish(patience)

    def finish(self, patience: Duration) -> Ended | None:
        """Return how the call ended, waiting for `patience`; None if it still blocks."""
        return self._ended if self._done.wait(patience / SECOND) else None

    def meanwhile(self, name: str, arguments: tuple[Any, ...]) -> Ended:
        """Make a call that does not block, while another one may still be under way, and return how it ended."""
        return _made(getattr(self, f"_{name}"), arguments)

    def _run(self, work: Callable[..., tuple[int, Any]], arguments: tuple[Any, ...]) -> None:
        self._ended = _made(work, arguments)
        self._done.set()

    # --- Descriptors

    def _add(self, new: Any) -> tuple[int, None]:
        number = 3
        while number in self._open:
            number += 1
        self._open[number] = new
        return number, None

    def _get(self, number: int) -> Any:
        if number not in self._open:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._open[number]

    def _of_socket(self, number: int) -> socket.socket:
        found = self._get(number)
        if not isinstance(found, socket.socket):
            raise OSError(errno.ENOTSOCK, os.strerror(errno.ENOTSOCK))
        return found

    # --- Calls: each returns its value and what it wrote

    def _socket(self, family: int, kind: int, protocol: int) -> tuple[int, Any]:
        return self._add(socket.socket(family, kind, protocol))

    def _bind(self, number: int, address: str, port: int) -> tuple[int, Any]:
        self._of_socket(number).bind((address, port))
        return 0, None

    def _listen(self, number: int, backlog: int) -> tuple[int, Any]:
        self._of_socket(number).listen(backlog)
        return 0, None

    def _accept(self, number: int, flags: int) -> tuple[int, Any]:
        # accept4() of the library would set O_NONBLOCK by the listener's timeout; this socket has none.
        new, _ = self._of_socket(number).accept()
        if flags & socket.SOCK_NONBLOCK:
            _set_flags(new, _flags(new) | os.O_NONBLOCK)
        return self._add(new)

    def _connect(self, number: int, address: str, port: int) -> tuple[int, Any]:
        self._of_socket(number).connect((address, port))
        return 0, None

    def _disconnect(self, number: int) -> tuple[int, Any]:
        # connect() to an address of no family, which the interpreter has no way to write: connect(2).
        address = bytes(16)
        return _checked(
            ctypes.CDLL(None, use_errno=True).connect(self._of_socket(number).fileno(), address, len(address))
        )

    def _receive(self, number: int, size: int, flags: int) -> tuple[int, Any]:
        return len(self._of_socket(number).recv(min(size, _LARGEST), flags)), None

    def _receive_message(self, number: int, size: int, flags: int) -> tuple[int, Any]:
        data, control, said, _ = self._of_socket(number).recvmsg(min(size, _LARGEST), _CONTROL, flags)
        return len(data), (said, control)

    def _receive_nowhere(self, number: int, size: int, flags: int) -> tuple[int, Any]:
        return _with_no_buffer("recv", self._of_socket(number), size, flags)

    def _send_nowhere(self, number: int, size: int, flags: int) -> tuple[int, Any]:
        return _with_no_buffer("send", self._of_socket(number), size, flags | socket.MSG_NOSIGNAL)

    def _send_to(self, number: int, size: int, flags: int, address: str, port: int, nowhere: bool) -> tuple[int, Any]:
        if nowhere:
            return self._send_nowhere(number, size, flags)
        data = bytes(min(size, _LARGEST))
        return self._of_socket(number).sendto(data, flags | socket.MSG_NOSIGNAL, (address, port)), None

    def _open_file(self, path: str, flags: int, mode: int) -> tuple[int, Any]:
        return self._add(_File(os.open(path, flags | os.O_CLOEXEC, mode)))

    def _pipe(self) -> tuple[int, Any]:
        ends = os.pipe2(os.O_CLOEXEC)
        return 0, tuple(self._add(_File(end))[0] for end in ends)

    def _sendfile(self, target: int, source: int, offset: int | None, size: int) -> tuple[int, Any]:
        return os.sendfile(self._get(target).fileno(), self._get(source).fileno(), offset, size), None

    def _splice(
        self, source: int, target: int, from_offset: int | None, to_offset: int | None, size: int, flags: int
    ) -> tuple[int, Any]:
        ends = self._get(source).fileno(), self._get(target).fileno()
        return os.splice(*ends, size, from_offset, to_offset, flags), None

    def _send(self, number: int, size: int, flags: int) -> tuple[int, Any]:
        return self._of_socket(number).send(bytes(min(size, _LARGEST)), flags | socket.MSG_NOSIGNAL), None

    def _fcntl(self, number: int, command: int, argument: int) -> tuple[int, Any]:
        return fcntl.fcntl(self._get(number).fileno(), command, argument), None

    def _ioctl(self, number: int, command: int, argument: int) -> tuple[int, Any]:
        answer = fcntl.ioctl(self._get(number).fileno(), command, _INT.pack(argument))
        return 0, None if command == _FIONBIO else _INT.unpack(answer)[0]

    def _getsockopt(self, number: int, level: int, name: int, size: int) -> tuple[int, Any]:
        return 0, self._of_socket(number).getsockopt(level, name, size)

    def _setsockopt(self, number: int, level: int, name: int, value: bytes) -> tuple[int, Any]:
        self._of_socket(number).setsockopt(level, name, value)
        return 0, None

    def _shutdown(self, number: int, how: int) -> tuple[int, Any]:
        self._of_socket(number).shutdown(how)
        return 0, None

    def _close(self, number: int) -> tuple[int, Any]:
        closing = self._get(number)
        del self._open[number]
        if isinstance(closing, socket.socket):
            os.close(closing.detach())  # socket.close() hides the errno of a lingering close
        else:
            closing.close()
        return 0, None

    def _poll(self, wanted: list[tuple[int, int]], milliseconds: int) -> tuple[int, Any]:
        poll = select.poll()
        numbers = {self._get(number).fileno(): number for number, _ in wanted if number in self._open}
        for number, events in wanted:
            if number in self._open:
                poll.register(self._get(number), events)
        found = {numbers[descriptor]: events for descriptor, events in poll.poll(milliseconds)}
        found |= {number: select.POLLNVAL for number, _ in wanted if number not in self._open}
        return len(found), found

    def _epoll_create(self) -> tuple[int, Any]:
        return self._add(select.epoll())

    def _epoll_ctl(self, number: int, operation: int, target: int, events: int) -> tuple[int, Any]:
        epoll = self._get(number)
        if not isinstance(epoll, select.epoll):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        descriptor = self._get(target).fileno()
        {1: epoll.register, 3: epoll.modify}.get(operation, lambda at, _: epoll.unregister(at))(descriptor, events)
        return 0, None

    def _epoll_wait(self, number: int, most: int, milliseconds: int) -> tuple[int, Any]:
        epoll = self._get(number)
        if not isinstance(epoll, select.epoll) or most < 1:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        numbers = {each.fileno(): at for at, each in self._open.items()}
        found = epoll.poll(None if milliseconds < 0 else milliseconds / 1000, most)
        return len(found), [(numbers.get(descriptor, -1), events) for descriptor, events in found]


def _made(work: Callable[..., tuple[int, Any]], arguments: tuple[Any, ...]) -> Ended:
    began = time.monotonic_ns()
    value, error, out = -1, "", None
    try:
        value, out = work(*arguments)
    except OSError as failed:
        error = errno.errorcode.get(failed.errno or 0, str(failed.errno))
    return Ended(value, error, out, began, time.monotonic_ns())


def _with_no_buffer(name: str, of: socket.socket, size: int, flags: int) -> tuple[int, None]:
    """Make a call with NULL for its buffer, past the interpreter, which would not."""
    library = ctypes.CDLL(None, use_errno=True)
    return _checked(getattr(library, name)(of.fileno(), None, ctypes.c_size_t(size), flags))


def _checked(made: int) -> tuple[int, None]:
    """Return what a call of the library returned; raise its error."""
    if made < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return made, None


def _flags(of: socket.socket) -> int:
    return fcntl.fcntl(of.fileno(), fcntl.F_GETFL)


def _set_flags(of: socket.socket, flags: int) -> None:
    fcntl.fcntl(of.fileno(), fcntl.F_SETFL, flags)
