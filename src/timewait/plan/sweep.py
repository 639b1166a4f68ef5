"""`Sweep`: a workload again and again, with other values in it; each cell is simulated, wherever there is room.

A value is put into the workload's file as if it had been written there, so whatever a file can say can be varied.
Cells are texts and numbers, so that they are the same to this process, to others, and to other machines; the same cell
gives the same numbers everywhere.
"""

import hashlib
import itertools
import json
import math
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, Self

from timewait import __version__
from timewait.errors import UnavailableError, UsageError
from timewait.plan import workload_file
from timewait.plan.keys import DURATION, RATE, Key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from timewait.plan.setting import Setting

SCHEMA_VERSION: Final = 1
MOST_CELLS: Final = 100_000
_TEN: Final = 10
_RANGE: Final = re.compile(
    r"(?P<low>-?\d+(?:\.\d+)?)\s*\.\.\s*(?P<high>-?\d+(?:\.\d+)?)(?P<unit>[a-zA-Z/%]*)"
    r"(?::(?P<step>\d+(?:\.\d+)?)|#(?P<count>\d+))?",
    re.ASCII,
)
_HELP: Final = "--vary rate=100..2000 (ten values), 100..2000:100 (a step), 100..2000#5 (a count), pool=0,8,64 (a list)"
# So many connects a set of ports gets, unless it is said, or more where it takes longer to settle.
_CONNECTS: Final = 500_000
# Cells that an estimate looks at.
_SAMPLE: Final = 20


class Vary(NamedTuple):
    """What is varied: `name` as it was written, the table and keys that it stands for, and its values as texts."""

    name: str
    table: str
    keys: tuple[str, ...]
    values: tuple[str, ...]


class Cell(NamedTuple):
    """One point of a sweep: (name, table, keys, value) of each value that is put in."""

    values: tuple[tuple[str, str, tuple[str, ...], str], ...]

    @property
    def key(self) -> str:
        """What tells it from others, in a file of results."""
        return json.dumps({name: value for name, _, _, value in self.values})


class Task(NamedTuple):
    """A cell and all that it takes to simulate it.  `connects`: of each set of ports, None: as many as are needed."""

    text: str
    cell: Cell
    connects: int | None
    seed: int


@dataclass(frozen=True, slots=True)
class Sweep:
    """A workload's text and what is varied in it."""

    text: str
    name: str
    varies: tuple[Vary, ...]
    connects: int | None
    seed: int

    def tasks(self) -> list[Task]:
        """Return every combination.  Raises `UsageError` where one cannot be, or there are too many."""
        workload_file.read(self.text, self.name)
        count = math.prod(len(vary.values) for vary in self.varies)
        if count > MOST_CELLS:
            raise UsageError(
                f"{count:,} combinations are too many", f"at most {MOST_CELLS:,}: fewer values, longer steps"
            )
        axes = [[(vary.name, vary.table, vary.keys, value) for value in vary.values] for vary in self.varies]
        tasks = [Task(self.text, Cell(values), self.connects, self.seed) for values in itertools.product(*axes)]
        for task in tasks:
            changed(task)
        return tasks

    @property
    def fingerprint(self) -> str:
        """What results have to be of to be of this sweep: workload, seed, connects, and the program's version."""
        plain = workload_file.write(workload_file.read(self.text, self.name))
        said = json.dumps([SCHEMA_VERSION, __version__, plain, self.connects, self.seed])
        return hashlib.sha256(said.encode()).hexdigest()[:16]


def parse(text: str) -> Vary:
    """Return what `--vary` asks for.  Raises `UsageError` with what was wrong and what can be said."""
    name, equals, rest = text.partition("=")
    name = name.strip()
    if not equals or not name or not rest.strip():
        raise UsageError(f"{text!r} says not what to vary", _HELP)
    table, keys, unit = _meant(name)
    return Vary(name, table, keys, tuple(_values(rest.strip(), unit)))


def _meant(name: str) -> tuple[str, tuple[str, ...], str]:
    """Return the table and keys that a name stands for, and the unit that a bare number then has."""
    known = {(section.name, key.name): key for section in workload_file.SECTIONS for key in section.keys}
    if name == "pool":
        return "flows", ("pool", "size"), ""
    head, _, tail = name.partition(".")
    if (head, tail) in known:
        return head, (tail,), _unit(known[head, tail])
    tables = [table for table, key in known if key == name]
    if len(tables) == 1:
        return tables[0], (name,), _unit(known[tables[0], name])
    if len(tables) > 1:
        raise UsageError(f"{name} is a key of {' and of '.join(tables)}", f"say which: --vary {tables[0]}.{name}=...")
    if name.startswith(("net.", "tcp_", "ip_")):
        return "sources", ("sysctls", name), ""
    from difflib import get_close_matches

    names = sorted({key for _, key in known} | {"pool"})
    near = get_close_matches(name, names, 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UsageError(
        f"there is no {name!r} to vary", f"{hint}known: {', '.join(names)}, and settings such as tcp_tw_reuse"
    )


def _unit(key: Key) -> str:
    return "/s" if key.kind is RATE else "s" if key.kind is DURATION or key.name == "holds" else ""


def _values(text: str, unit: str) -> Iterator[str]:
    found = _RANGE.fullmatch(text)
    if found is None:
        for each in text.split(","):
            if not each.strip():
                raise UsageError(f"{text!r} has an empty value in it", _HELP)
            yield _with_unit(each.strip(), unit)
        return
    low, high = float(found["low"]), float(found["high"])
    if low >= high:
        raise UsageError(f"the range {text} goes down", "the lower end first")
    if found["step"]:
        step = float(found["step"])
        if not step or (high - low) / step > MOST_CELLS:
            raise UsageError(f"{text!r} has too short a step", f"at most {MOST_CELLS:,} values")
        numbers = [low + step * index for index in range(int((high - low) / step + 1e-9) + 1)]
    else:
        count = int(found["count"] or _TEN)
        if not 2 <= count <= MOST_CELLS:
            raise UsageError(f"a range of {count} values cannot be", f"from 2 to {MOST_CELLS:,}")
        numbers = [low + (high - low) * index / (count - 1) for index in range(count)]
    for number in numbers:
        yield f"{number:.6g}{found['unit'] or unit}"


def _with_unit(text: str, unit: str) -> str:
    return text + unit if unit and re.fullmatch(r"\d+(\.\d+)?", text) and text != "0" else text


def changed(task: Task) -> dict[str, Any]:
    """Return the workload's tables with the cell's values in them.  Raises `UsageError` where that cannot be."""
    document = tomllib.loads(task.text)
    for name, table, keys, value in task.cell.values:
        rows = document.get(table)
        if not isinstance(rows, list) or not rows:
            raise UsageError(f"{name} cannot be varied: the workload has no {table}", f"write [[{table}]] first")
        for row in rows:
            _put(row, keys, value)
    try:
        workload_file.from_tables(document, "the workload")
    except UsageError as error:
        where = ", ".join(f"{name} = {value}" for name, _, _, value in task.cell.values)
        raise UsageError(f"with {where}: {error.what}", error.hint) from None
    return document


def _put(row: dict[str, Any], keys: tuple[str, ...], value: str) -> None:
    *outer, last = keys
    if keys == ("pool", "size") and value == "0":
        row.pop("pool", None)
        return
    for key in outer:
        inner = row.get(key)
        if not isinstance(inner, dict):
            inner = row[key] = {}
        row = inner
    if last == "holds" and isinstance(row.get(last), dict):  # the mean of a distribution
        row, last = row[last], "mean"
    try:
        row[last] = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        row[last] = value


def run(task: Task) -> list[dict[str, Any]]:
    """Simulate a cell; return a row for each set of ports: numbers, or an `error` in words."""
    from timewait.plan import simulation
    from timewait.plan.usage import usage

    workload = workload_file.from_tables(changed(task), "the workload")
    rows = []
    for ports, scene in simulation.settings_of(workload):
        row: dict[str, Any] = {"from": ports.whose, "to": ports.towards or "everywhere", "ports": ports.ports}
        row |= {"sets": ports.count, "load": ports.load / ports.ports, "foretold_failing": usage(ports).failing}
        connects = task.connects or enough(scene)
        try:
            found = simulation.play(scene, connects=connects, seed=task.seed)
        except UsageError as error:
            rows.append(row | {"error": f"{error.what}; {error.hint}"})
            continue
        row |= {"connects": connects, "seed": task.seed, "first_failure": found.first_failure}
        beyond = found.beyond_half if ports.first_half is not None else None
        intervals = {"failing": found.failing, "used": found.used, "beyond_half": beyond, "waiting": found.waiting}
        for name, interval in intervals.items():
            row[name] = None if interval is None else interval.mean
            row[f"{name}_half"] = None if interval is None else interval.half
        rows.append(row | {"correlated": found.correlated})
    return rows


def enough(scene: "Setting") -> int:
    """Return how many connects say something: eight times what it takes to settle leaves seven parts for numbers."""
    from timewait.plan import simulation

    return max(_CONNECTS, min(simulation.MOST, math.ceil(8 * scene.settles * scene.rate)))


def estimate(tasks: Sequence[Task]) -> float:
    """Return about how many CPU seconds tasks would take, from some of them."""
    from timewait.plan import simulation

    some = tasks[:: max(1, len(tasks) // _SAMPLE)]
    seconds = 0.0
    for task in some:
        for _, scene in simulation.settings_of(workload_file.from_tables(changed(task), "the workload")):
            seconds += simulation.estimate(scene, task.connects or enough(scene)).seconds
    return seconds * len(tasks) / max(1, len(some))


class Results:
    """Rows of cells that are done: in memory, and with a path also in a file of JSON lines.

    Another run goes on with that file.  A line that a killed run left half written is cut off; anything else that does
    not fit is refused.
    """

    def __init__(self, path: Path | None, fingerprint: str) -> None:
        """Read what there is.  Raises `UsageError` for a file of something else, `UnavailableError` as open() does."""
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self._path, self._fingerprint = path, fingerprint
        self._file: BinaryIO | None = None
        if path is None:
            return
        import fcntl

        try:
            self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666), "r+b")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            assert self._file is not None
            self._file.close()
            raise UsageError(f"another sweep is writing {path}", "wait for it, or name another file") from None
        except OSError as error:
            raise UnavailableError(f"{path}: {error.strerror}", "name a file that can be written") from None
        try:
            self._read(self._file, path)
        except BaseException:
            self._file.close()
            raise

    def _read(self, file: BinaryIO, path: Path) -> None:
        kept = 0
        for number, line in enumerate(file):
            if not line.endswith(b"\n"):
                break
            try:
                found = json.loads(line)
                if number == 0:
                    theirs = found["sweep"]
                else:
                    self.rows[found["cell"]] = found["rows"]
            except (ValueError, KeyError, TypeError):
                raise UsageError(
                    f"line {number + 1} of {path} is not of a sweep's results", "name another file for the results"
                ) from None
            if number == 0 and theirs != self._fingerprint:
                raise UsageError(
                    f"{path} has results of another workload, seed, number of connects or version",
                    "name another file for the results",
                )
            kept += len(line)
        file.seek(kept)
        file.truncate()
        if not kept:
            self._write({"sweep": self._fingerprint})

    def add(self, cell: Cell, rows: list[dict[str, Any]]) -> None:
        """Remember a cell's rows, at once and for good."""
        self.rows[cell.key] = rows
        self._write({"cell": cell.key, "rows": rows})

    def _write(self, document: dict[str, Any]) -> None:
        if self._file is not None:
            try:
                self._file.write(json.dumps(document).encode() + b"\n")
                self._file.flush()
            except OSError as error:
                raise UnavailableError(
                    f"{self._path}: {error.strerror}", "what is in it is kept: run again when it can be written"
                ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


def here(tasks: Sequence[Task], width: int) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Yield the rows of each task as they come, with its number, from `width` processes of this machine."""
    from timewait.system.pool import Pool

    with Pool(run, tasks, width, "simulated cells") as pool:
        yield from pool.results()


# Yields (number of the task, its rows) as tasks are done.
Runner = Callable[[Sequence[Task]], Iterator[tuple[int, list[dict[str, Any]]]]]


def play(sweep: Sweep, results: Results, runner: Runner, tell: Callable[[int], None] = lambda _: None) -> list[Task]:
    """Run the cells that have no result yet; `tell` hears how many cells are done.  Return all cells, in order."""
    tasks = sweep.tasks()
    left = [task for task in tasks if task.cell.key not in results.rows]
    done = len(tasks) - len(left)
    tell(done)
    if left:
        for number, rows in runner(left):
            results.add(left[number].cell, rows)
            done += 1
            tell(done)
    return tasks
