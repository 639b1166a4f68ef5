"""The claims, one file each: a sentence of the old argument, and the points that it is held to.

A file that is put here is found.  Nothing here knows what came of a point.
"""

from importlib import import_module
from pathlib import Path

from timewait.errors import UsageError
from timewait.lab.claim import Claim


def every() -> list[Claim]:
    """Return all claims by number."""
    stems = [file.stem for file in Path(__file__).parent.glob("[a-z]*.py")]
    found: list[Claim] = [import_module(f"{__name__}.{stem}").CLAIM for stem in stems]
    return sorted(found, key=lambda claim: int(claim.number))


def get(number: str) -> Claim:
    """Return a claim, or a part of one, by its number: 15, 16.3.  Raises `UsageError` if there is none."""
    known = every()
    for claim in (*known, *(part for each in known for part in each.parts)):
        if claim.number == number:
            return claim
    raise UsageError(f"there is no claim {number!r}", f"claims are 1 to {known[-1].number}; see timewait claims --list")
