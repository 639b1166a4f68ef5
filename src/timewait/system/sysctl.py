"""Network sysctls: read as what they are, written only inside a private namespace.

Documentation/networking/ip-sysctl.rst.  Values belong to the network namespace of the process that asks.
"""

from pathlib import Path

from timewait.errors import UnavailableError, UsageError

_ROOT = Path("/proc/sys")
_CONFIGURED = (
    "etc/sysctl.conf",
    *(f"{folder}/sysctl.d/*.conf" for folder in ("etc", "run", "usr/local/lib", "usr/lib")),
)

# Set once, by the process that has just made the namespace it lives in.
_private = False


def allow_writing() -> None:
    """Say that this process lives in a namespace of its own.  Only `system.agent` does, right after making it."""
    global _private
    _private = True


def _path(name: str) -> Path:
    parts = name.split(".")
    if len(parts) < 2 or not all(part and part.replace("_", "").replace("-", "").isalnum() for part in parts):
        raise UsageError(f"{name!r} is not the name of a sysctl", "write it as net.ipv4.tcp_tw_reuse")
    return _ROOT.joinpath(*parts)


def read(name: str) -> str | None:
    """Return the value as the kernel prints it, without the line end; None where this kernel has no such sysctl."""
    try:
        return _path(name).read_text().strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnavailableError(f"{name} cannot be read: {error.strerror}") from None


def read_int(name: str) -> int | None:
    """Return a sysctl that is one whole number; None where this kernel has no such sysctl."""
    text = read(name)
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        raise UnavailableError(f"{name} = {text!r}, where a whole number was expected") from None


def read_range(name: str) -> tuple[int, int] | None:
    """Return a sysctl that is two whole numbers, such as net.ipv4.ip_local_port_range."""
    text = read(name)
    if text is None:
        return None
    try:
        low, high = text.split()
        return int(low), int(high)
    except ValueError:
        raise UnavailableError(f"{name} = {text!r}, where two whole numbers were expected") from None


def files_that_set(name: str, root: Path = Path("/")) -> list[str]:
    """Return the files, read when the machine starts, that set a sysctl to something else than 0.  sysctl.d(5)."""
    found = []
    for folder in _CONFIGURED:
        for file in sorted(root.glob(folder)):
            try:
                text = file.read_text(errors="replace")
            except OSError:
                continue
            if any(_sets(line, name) for line in text.splitlines()):
                found.append(str(file))
    return found


def _sets(line: str, name: str) -> bool:
    key, equals, value = line.strip().lstrip("-").partition("=")
    return bool(equals) and key.strip().replace("/", ".") == name and value.strip() not in ("", "0")


def write(name: str, value: str) -> None:
    """Set a sysctl of the private namespace this process lives in; refuse anywhere else.

    Raises `UnavailableError` where the kernel has no such sysctl or does not take the value.
    """
    if not _private:
        raise UnavailableError(
            f"{name} is not written: this process is not in a private namespace", "nothing is changed on a host"
        )
    try:
        _path(name).write_text(value)
    except FileNotFoundError:
        raise UnavailableError(
            f"this kernel has no sysctl {name}", "leave the option out; newer kernels have it"
        ) from None
    except OSError as error:
        raise UnavailableError(f"{name} = {value} was refused: {error.strerror}") from None
