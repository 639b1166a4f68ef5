"""Plain tables: columns as wide as they need to be, in the manner of `ss`.  No colour, no boxes, no imports."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


def table(head: "Sequence[str]", rows: "Iterable[Sequence[object]]", right: "Sequence[str]" = ()) -> "Iterator[str]":
    """Yield the lines of a table: the head, then the rows; columns named in `right` are flush right."""
    body = [[str(value) for value in row] for row in rows]
    widths = [max([len(name), *(len(row[at]) for row in body)]) for at, name in enumerate(head)]
    flush = [name in right for name in head]
    for row in [list(head), *body]:
        cells = [
            text.rjust(width) if far else text.ljust(width) for text, width, far in zip(row, widths, flush, strict=True)
        ]
        yield "  ".join(cells).rstrip()


def wrapped(head: "Sequence[str]", rows: "Iterable[Sequence[object]]", widths: "Sequence[int]") -> "Iterator[str]":
    """Yield the lines of a table whose columns have these widths at most: what is longer goes on below."""
    import textwrap

    body = [[str(value) for value in row] for row in rows]
    longest = [max([len(name), *(len(row[at]) for row in body)]) for at, name in enumerate(head)]
    widths = [min(width, most) for width, most in zip(widths, longest, strict=True)]
    for row in [list(head), *body]:
        cells = [textwrap.wrap(text, width) or [""] for text, width in zip(row, widths, strict=True)]
        for at in range(max(map(len, cells))):
            parts = [
                (cell[at] if at < len(cell) else "").ljust(width) for cell, width in zip(cells, widths, strict=True)
            ]
            yield "  ".join(parts).rstrip()


def grouped(number: int) -> str:
    """Return a whole number with its thousands apart: 28,232."""
    return f"{number:,}"
