"""A kernel tracepoint, listened to for a while: perf_event_open(2), which needs no compiler and no BPF.

What is asked for lives in file descriptors alone.  However this process ends, the kernel closes them and nothing stays
behind, which an instance in tracefs would: it outlives its maker.  tracefs is read for two things, the event's number
and the layout of its record; where it is not mounted, a child process mounts it in a mount namespace of its own.

include/uapi/linux/perf_event.h, kernel/events/core.c.  Beside the event, the kernel tells which command each new
process has and which network namespace it is in, so that a process may have ended long before its record is read.
"""

import ctypes
import fcntl
import mmap
import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from timewait.errors import UnavailableError

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
# __NR_perf_event_open: arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h (arm64, riscv,
# loongarch), and the tables of powerpc and s390.
_CALL: Final = {"x86_64": 298, "aarch64": 241, "riscv64": 241, "loongarch64": 241, "ppc64le": 319, "s390x": 331}

_TYPE_TRACEPOINT: Final = 2
_SAMPLE_TID, _SAMPLE_TIME, _SAMPLE_RAW = 1 << 1, 1 << 2, 1 << 10
# The bits of perf_event_attr that count from the lowest: all of little-endian, mirrored on big-endian machines.
_COMM, _TASK, _SAMPLE_ID_ALL, _NAMESPACES = 9, 13, 18, 28
_ATTRIBUTE: Final = struct.Struct("=IIQQQQQII72x")  # 128 bytes, PERF_ATTR_SIZE_VER7; later kernels take it
_CLOEXEC: Final = 8  # PERF_FLAG_FD_CLOEXEC
_SET_FILTER: Final = {"ppc64le": 0x8008_2406}  # PERF_EVENT_IOC_SET_FILTER, _IOW('$', 6, char *)
_LOST, _COMM_RECORD, _FORK, _SAMPLE, _NAMESPACES_RECORD = 2, 3, 7, 9, 16
_HEADER: Final = struct.Struct("=IHH")
_HEAD_AT, _TAIL_AT = 1024, 1032  # data_head, data_tail: struct perf_event_mmap_page
_MOST_PAGES: Final = 1024  # of one processor's ring: 4 MB, some 37,000 closes
_PAGES_IN_ALL: Final = 16384
_NET: Final = 0  # NET_NS_INDEX
# common_flags: TRACE_FLAG_HARDIRQ, _SOFTIRQ, _NMI (include/linux/trace_events.h).  With one of them the process named
# is only the one that was interrupted.
_INTERRUPTED: Final = 0x08 | 0x10 | 0x40

_MOUNTS: Final = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))
_CLONE_NEWNS: Final = 0x0002_0000
_MS_REC_PRIVATE: Final = 0x4000 | 1 << 18


class Layout(NamedTuple):
    """A tracepoint's number, and where each field of its record lies: (offset, size)."""

    number: int
    fields: dict[str, tuple[int, int]]


class Hit(NamedTuple):
    """The tracepoint was passed.  `interrupted`: not by the process named, which only happened to run there."""

    time_ns: int
    pid: int
    tid: int
    interrupted: bool
    record: bytes


class Named(NamedTuple):
    """A process has this command from now on."""

    time_ns: int
    pid: int
    command: str


class Forked(NamedTuple):
    """A process or thread was made; it has its parent's command."""

    time_ns: int
    pid: int
    parent: int


class Moved(NamedTuple):
    """A thread is in this network namespace from now on."""

    time_ns: int
    tid: int
    namespace: int


class Lost(NamedTuple):
    """So many records found no room."""

    time_ns: int
    records: int


Record = Hit | Named | Forked | Moved | Lost


def layout(event: str) -> Layout:
    """Return the layout of an event such as `sock/inet_sock_set_state`.  Raises `UnavailableError`."""
    for root in _MOUNTS:
        try:
            texts = _read(root, event)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UnavailableError(
                f"{root}/events/{event} cannot be read: {error.strerror}", "tracing needs root"
            ) from None
        return read_layout(*texts)
    return read_layout(*_read_in_private(event))


def _read(root: Path, event: str) -> tuple[str, str]:
    folder = root / "events" / event
    return (folder / "id").read_text(), (folder / "format").read_text()


def _read_in_private(event: str) -> tuple[str, str]:
    """Read the two files in a child that mounts tracefs where nobody else sees it: over /sys/kernel/tracing."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if not child:
        try:
            answer = _mount_and_read(event)
            with open(writer, "w") as file:
                file.write(answer)
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader) as file:
        answer = file.read()
    os.waitpid(child, 0)
    number, mark, text = answer.partition("\n---\n")
    if not mark:
        raise UnavailableError(
            f"tracefs is not mounted, and cannot be mounted for this process alone: {answer or 'the child ended'}",
            "tracing needs root and a kernel with CONFIG_EVENT_TRACING",
        )
    return number, text


def _mount_and_read(event: str) -> str:
    """Return both files with a line between them, or what went wrong: in the child."""
    target = _MOUNTS[0]
    place = os.fsencode(target)
    if (
        _LIBC.unshare(_CLONE_NEWNS)
        or _LIBC.mount(b"none", b"/", None, _MS_REC_PRIVATE, None)
        or _LIBC.mount(b"tracefs", place, b"tracefs", 0, None)
    ):
        return os.strerror(ctypes.get_errno())
    try:
        return "\n---\n".join(_read(target, event))
    except OSError as error:
        return f"{error.filename}: {error.strerror}"


_FIELD: Final = re.compile(r"^\tfield:[^;]*?(\w+)(?:\[\d+\])?;\toffset:(\d+);\tsize:(\d+);", re.MULTILINE)


def read_layout(number: str, text: str) -> Layout:
    """Read an event's `id` and `format` files."""
    fields = {name: (int(offset), int(size)) for name, offset, size in _FIELD.findall(text)}
    if not number.strip().isdecimal() or "common_flags" not in fields:
        raise UnavailableError(f"the kernel describes an event in an unknown way: {number[:20]!r}, {text[:60]!r}")
    return Layout(int(number), fields)


class Tracepoint:
    """Every passing of a tracepoint on every processor, from the making of this object until `close`."""

    def __init__(self, layout: Layout, condition: str) -> None:
        """Start; `condition` is a filter that the kernel runs (Documentation/trace/events.rst).

        Raises `UnavailableError` where this user may not.
        """
        self.layout = layout
        self._rings: list[_Ring] = []
        try:
            processors = _processors()
            pages = min(_MOST_PAGES, 1 << (_PAGES_IN_ALL // len(processors)).bit_length() - 1)  # a power of two
            for processor in processors:
                self._rings.append(_Ring(_open(layout.number, processor, condition), pages))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self) -> list[Record]:
        """Return what came since the last call, in order of time."""
        flags_at, _ = self.layout.fields["common_flags"]
        found = [record for ring in self._rings for record in parse(ring.read(), flags_at)]
        return sorted(found, key=lambda record: record.time_ns)

    def close(self) -> None:
        """Stop listening."""
        while self._rings:
            self._rings.pop().close()


def _processors() -> list[int]:
    """Return the processors that are switched on: `0-3,8`."""
    found: list[int] = []
    for part in Path("/sys/devices/system/cpu/online").read_text().strip().split(","):
        first, _, last = part.partition("-")
        found.extend(range(int(first), int(last or first) + 1))
    return found


def _open(number: int, processor: int, condition: str) -> int:
    machine = os.uname().machine
    if machine not in _CALL:
        raise UnavailableError(f"tracing is not known to work on {machine}", "it does on " + ", ".join(_CALL))
    bits = sum(1 << bit for bit in (_COMM, _TASK, _SAMPLE_ID_ALL, _NAMESPACES))
    if machine == "s390x":
        bits = int(f"{bits:064b}"[::-1], 2)  # bit fields start at the other end
    kinds = _SAMPLE_TID | _SAMPLE_TIME | _SAMPLE_RAW
    attribute = _ATTRIBUTE.pack(_TYPE_TRACEPOINT, _ATTRIBUTE.size, number, 1, kinds, 0, bits, 0, 0)
    handle: int = _LIBC.syscall(_CALL[machine], attribute, -1, processor, -1, _CLOEXEC)
    if handle < 0:
        code = ctypes.get_errno()
        raise UnavailableError(
            f"this user may not trace: perf_event_open: {os.strerror(code)}",
            "run as root (CAP_PERFMON and CAP_DAC_READ_SEARCH); in a container the seccomp profile may forbid it",
        )
    try:
        fcntl.ioctl(handle, _SET_FILTER.get(machine, 0x4008_2406), condition.encode() + b"\0")
    except OSError as error:
        os.close(handle)
        raise UnavailableError(f"the kernel does not take the filter {condition!r}: {error.strerror}") from None
    return handle


class _Ring:
    """The ring buffer of one processor: records from data_tail up to data_head, kernel/events/ring_buffer.c."""

    def __init__(self, handle: int, pages: int) -> None:
        self._handle = handle
        self._size = pages * mmap.PAGESIZE
        try:
            self._map = mmap.mmap(handle, mmap.PAGESIZE + self._size)
        except OSError as error:
            os.close(handle)
            raise UnavailableError(f"the kernel gives no room for tracing: {error.strerror}") from None

    def read(self) -> bytes:
        size = self._size
        (head,) = struct.unpack_from("=Q", self._map, _HEAD_AT)
        (tail,) = struct.unpack_from("=Q", self._map, _TAIL_AT)
        if head == tail:
            return b""
        base, first, last = mmap.PAGESIZE, tail % size, head % size
        if first < last:
            text = self._map[base + first : base + last]
        else:
            text = self._map[base + first : base + size] + self._map[base : base + last]
        struct.pack_into("=Q", self._map, _TAIL_AT, head)
        return text

    def close(self) -> None:
        self._map.close()
        os.close(self._handle)


def parse(text: bytes, flags_at: int) -> Iterator[Record]:
    """Yield the records in a stretch of a ring; what is of no use here is passed over.

    `flags_at`: where common_flags lies in the event.  Raises `UnavailableError` for what is no such stretch.
    """
    at = 0
    while at + _HEADER.size <= len(text):
        kind, _, size = _HEADER.unpack_from(text, at)
        if size < _HEADER.size or at + size > len(text):
            raise UnavailableError(f"the kernel's trace holds a record of {size} bytes where {len(text) - at} are left")
        body = text[at + _HEADER.size : at + size]
        at += size
        try:
            record = _record(kind, body, flags_at)
        except struct.error as error:
            raise UnavailableError(f"the kernel's trace holds a short record of kind {kind}: {error}") from None
        if record is not None:
            yield record


def _record(kind: int, body: bytes, flags_at: int) -> Record | None:
    if kind == _SAMPLE:
        pid, tid, time_ns, size = struct.unpack_from("=iiQI", body)
        raw = body[20 : 20 + size]
        if len(raw) < size or flags_at >= size:
            raise struct.error(f"{len(raw)} bytes of event")
        return Hit(time_ns, pid, tid, bool(raw[flags_at] & _INTERRUPTED), raw)
    # PERF_SAMPLE_TID and _TIME stand behind every other record too, for sample_id_all: the time is the last of it.
    if kind == _COMM_RECORD:
        return Named(_time(body, 24), struct.unpack_from("=i", body)[0], _command(body[8:-16]))
    if kind == _FORK:
        return Forked(_time(body, 40), *struct.unpack_from("=ii", body))
    if kind == _NAMESPACES_RECORD:
        _, tid, count = struct.unpack_from("=iiQ", body)
        time_ns = _time(body, 32 + 16 * count)
        return Moved(time_ns, tid, struct.unpack_from("=QQ", body, 16 + 16 * _NET)[1]) if count > _NET else None
    if kind == _LOST:
        return Lost(_time(body, 32), struct.unpack_from("=QQ", body)[1])
    return None


def _time(body: bytes, least: int) -> int:
    """Return the time at the end of a record that is at least so long."""
    if len(body) < least:
        raise struct.error(f"{len(body)} bytes")
    time_ns: int = struct.unpack_from("=Q", body, len(body) - 8)[0]
    return time_ns


def _command(text: bytes) -> str:
    return text.partition(b"\0")[0].decode(errors="replace")
