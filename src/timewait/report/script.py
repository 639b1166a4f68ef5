"""`timewait script`: how scripts ended, in packetdrill's words, as data, and as JUnit's XML."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from timewait.clock import SECOND, readable
from timewait.script.job import Result

SCHEMA = 1


def lines(result: Result) -> Iterator[str]:
    """Yield what went wrong with a script; nothing where it passed."""
    if result.error is not None:
        what, hint = result.error
        yield what if what.startswith(f"{result.path}:") else f"{result.path}: {what}"
        if hint:
            yield f"hint:  {hint}"
        return
    assert result.outcome is not None
    failure = result.outcome.failure
    if failure is None:
        return
    yield f"{result.path}:{failure.place.line}: error {failure.what}: {failure.detail}"
    if failure.script_packet:
        yield f"script packet: {failure.script_packet}"
    if failure.actual_packet:
        yield f"actual packet: {failure.actual_packet}"


def passed_line(result: Result) -> str:
    """Return the line of a script that passed, for those who want one each."""
    assert result.outcome is not None
    return f"OK {result.path} ({result.outcome.stack}, {readable(result.outcome.virtual)})"


def summary(results: Sequence[Result], taken: int) -> str:
    """Return the last line: how many passed, how long it took, how much time passed in them."""
    failed = sum(not result.passed for result in results)
    inside = sum(result.outcome.virtual for result in results if result.outcome)
    count = f"{len(results):,} script{'s' if len(results) != 1 else ''}"
    ended = "all passed" if not failed else f"{len(results) - failed:,} passed, {failed:,} failed"
    return f"{count}: {ended} in {readable(taken)}; {readable(inside)} of scripts' time"


def data(results: Iterable[Result], taken: int) -> dict[str, Any]:
    """Return all results as data."""
    found = list(results)
    return {
        "schema_version": SCHEMA,
        "command": "script",
        "passed": sum(result.passed for result in found),
        "failed": sum(not result.passed for result in found),
        "seconds": taken / SECOND,
        "scripts": [_one(result) for result in found],
    }


def _one(result: Result) -> dict[str, Any]:
    said: dict[str, Any] = {"file": result.path, "passed": result.passed}
    if result.error is not None:
        return said | {"error": result.error[0], "hint": result.error[1]}
    assert result.outcome is not None
    said |= {"stack": result.outcome.stack, "seconds": result.outcome.virtual / SECOND}
    failure = result.outcome.failure
    if failure is not None:
        said["failure"] = {
            "line": failure.place.line,
            "what": failure.what,
            "detail": failure.detail,
            "script_packet": failure.script_packet,
            "actual_packet": failure.actual_packet,
        }
    return said


def junit(results: Sequence[Result], taken: int) -> bytes:
    """Return the results as the XML that continuous integration reads."""
    from xml.etree import ElementTree

    failed = str(sum(result.outcome is not None and not result.passed for result in results))
    errors = str(sum(result.outcome is None for result in results))
    totals = {"tests": str(len(results)), "failures": failed, "errors": errors, "time": f"{taken / SECOND:.3f}"}
    root = ElementTree.Element("testsuites", totals)
    suite = ElementTree.SubElement(root, "testsuite", {"name": "timewait script", **totals})
    for result in results:
        folder, _, name = result.path.rpartition("/")
        case = ElementTree.SubElement(suite, "testcase", {"classname": _xml(folder or "."), "name": _xml(name)})
        if not result.passed:
            told = [_xml(line) for line in lines(result)]
            kind = "error" if result.outcome is None else "failure"
            ElementTree.SubElement(case, kind, {"message": told[0].split("\n")[0]}).text = "\n".join(told)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _xml(text: str) -> str:
    """Return the text without what XML cannot say (XML 1.0 section 2.2)."""
    return "".join(c if c in "\t\n" or (" " <= c < "\ud800") or c > "\udfff" else "?" for c in text)
