"""What the kernel's objects take: /sys/kernel/slab, which root alone may read (mm/slub.c, CONFIG_SYSFS)."""

from collections.abc import Iterable
from pathlib import Path

from timewait.errors import UnavailableError

_ROOT = Path("/sys/kernel/slab")


def sizes(names: Iterable[str]) -> dict[str, int]:
    """Return how many octets an object of each cache takes; raises `UnavailableError` where that cannot be read."""
    found = {}
    for name in names:
        path = _ROOT / name / "slab_size"
        try:
            found[name] = int(path.read_text())
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise UnavailableError(f"{path} cannot be read: {why}", "root may, on kernels with CONFIG_SYSFS") from None
    return found
