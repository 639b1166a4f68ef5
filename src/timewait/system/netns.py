"""Network namespaces: make a private one, or enter one that exists.  Always in this process, never through `ip`.

unshare(2), setns(2), user_namespaces(7).  A namespace made here is held by its process alone and goes with it.
"""

import ctypes
import fcntl
import os
import signal
import struct
from pathlib import Path

from timewait.errors import UnavailableError, UsageError

CLONE_NEWUSER = 0x1000_0000  # include/uapi/linux/sched.h
CLONE_NEWNET = 0x4000_0000
PR_SET_PDEATHSIG = 1  # include/uapi/linux/prctl.h
NS_GET_USERNS = 0xB701  # include/uapi/linux/nsfs.h
SIOCGIFFLAGS, SIOCSIFFLAGS = 0x8913, 0x8914  # include/uapi/linux/sockios.h
IFF_UP = 1

_LIBC = ctypes.CDLL(None, use_errno=True)
NAMED = Path("/run/netns")


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent thread ends, whatever ends it; return only if it still lives.

    To be called after the last change of credentials: the kernel forgets the wish at each (commit_creds in
    kernel/cred.c), and unshare(CLONE_NEWUSER) is one.
    """
    _LIBC.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def make_private() -> None:
    """Move this process into a network namespace of its own, loopback up; root inside it, nobody new outside it.

    Made through a user namespace, so that no privilege is needed.  Where those are switched off, one made directly
    serves, which needs CAP_SYS_ADMIN.  Raises `UnavailableError` with the reason where neither is allowed.
    """
    uid, gid = os.geteuid(), os.getegid()
    if _LIBC.unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0:
        _map_to_root(uid, gid)
    else:
        code = ctypes.get_errno()
        if _LIBC.unshare(CLONE_NEWNET) != 0:
            raise _not_allowed(code)
    _loopback_up()


def _map_to_root(uid: int, gid: int) -> None:
    """Be uid 0 and gid 0 inside the user namespace: the owner of its sysctls."""
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    except OSError as error:
        raise UnavailableError(
            f"a user namespace was made, but {error.filename} cannot be written: {error.strerror}",
            "a security module (AppArmor, seccomp) restricts it; run as root, or allow unprivileged user namespaces",
        ) from None


def _not_allowed(code: int) -> UnavailableError:
    """Say which switch is off, as far as the machine tells."""
    what = f"this user may not make a network namespace: {os.strerror(code)}"
    for file, off, way in (
        ("/proc/sys/user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=15000"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        ("/proc/sys/user/max_net_namespaces", "0", "sysctl -w user.max_net_namespaces=15000"),
    ):
        try:
            value = Path(file).read_text().strip()
        except OSError:
            continue
        if value == off:
            name = file.removeprefix("/proc/sys/").replace("/", ".")
            return UnavailableError(
                f"{what} (user namespaces are restricted: {name} = {value})",
                f"run as root, use --here for the machine's own stack, or allow it as root: {way}",
            )
    return UnavailableError(
        what,
        "in a container this is usually the seccomp profile; run as root with CAP_SYS_ADMIN, or use --here",
    )


def _loopback_up() -> None:
    """Set IFF_UP on `lo`; the kernel then adds 127.0.0.1 and ::1 by itself."""
    import _socket as socket

    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        name = b"lo".ljust(16, b"\0")
        (flags,) = struct.unpack_from("=h", fcntl.ioctl(probe.fileno(), SIOCGIFFLAGS, name + bytes(24)), 16)
        fcntl.ioctl(probe.fileno(), SIOCSIFFLAGS, name + struct.pack("=h22x", flags | IFF_UP))
    except OSError as error:
        raise UnavailableError(f"loopback cannot be brought up in the private namespace: {error.strerror}") from None
    finally:
        probe.close()


def enter(spec: str) -> None:
    """Move this process into a network namespace named as `ip netns` names them, or that of a process id.

    Raises `UsageError` where there is none of that name, `UnavailableError` where this user may not enter.
    """
    handle = _open(spec)
    try:
        join(handle, spec)
    finally:
        os.close(handle)


def identity(spec: str) -> int:
    """Return the inode that tells a network namespace from all others; "" is this process's own.  As `enter` raises."""
    handle = _open(spec or str(os.getpid()))
    try:
        return os.fstat(handle).st_ino
    finally:
        os.close(handle)


def _open(spec: str) -> int:
    path = Path("/proc") / spec / "ns/net" if spec.isascii() and spec.isdecimal() else NAMED / spec
    if "/" in spec or spec in ("", ".", ".."):
        raise UsageError(
            f"{spec!r} is not the name of a network namespace", "give a name below /run/netns, or a process id"
        )
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise UsageError(f"there is no network namespace {spec!r} ({path} does not exist)", _what_exists()) from None
    except OSError as error:
        raise UnavailableError(
            f"the network namespace of {spec!r} cannot be opened: {error.strerror}", "run as root, or as its owner"
        ) from None


def join(handle: int, spec: str) -> None:
    """Move this process into an open network namespace; `spec` names it in the words of an `UnavailableError`."""
    if _LIBC.setns(handle, CLONE_NEWNET) != 0 and not _enter_through_owner(handle):
        raise UnavailableError(
            f"this user may not enter the network namespace {spec!r}: {os.strerror(ctypes.get_errno())}",
            "run as root, or as the user who owns it",
        )


def _enter_through_owner(handle: int) -> bool:
    """Enter the user namespace that owns the network namespace first: a user may, who made it."""
    try:
        owner = fcntl.ioctl(handle, NS_GET_USERNS)
    except OSError:
        return False
    try:
        return bool(_LIBC.setns(owner, CLONE_NEWUSER) == 0 and _LIBC.setns(handle, CLONE_NEWNET) == 0)
    finally:
        os.close(owner)


def _what_exists() -> str:
    try:
        names = sorted(entry.name for entry in NAMED.iterdir())
    except OSError:
        names = []
    if not names:
        return "no namespace has a name here; a process id works too: --netns PID"
    return f"named ones: {', '.join(names[:10])}; a process id works too: --netns PID"
