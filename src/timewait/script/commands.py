"""Commands of the host, answered by the engine: sysctl, sockstat, ss, netstat, nstat, tcpdrop, grep, wc; no shell.

Lines are split into pipelines and words as a shell would, and nothing else of a shell is there.  A settings file named
by its path, beside the script, is read the same way.  Settings without a field of their own are in `host_settings`.
"""

import itertools
import re
import shlex
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path, PurePath
from typing import Final

from timewait.script.host_settings import AGREES, COMPUTED, SPELLED
from timewait.script.pattern import Pattern, PatternError
from timewait.script.process import Host, Process
from timewait.script.world import CommandResult, UnknownCommandError
from timewait.tcp import calls, settings
from timewait.tcp.events import Errno, Events, FourTuple
from timewait.tcp.stack import SocketRow
from timewait.tcp.states import CLOSED, State
from timewait.tcp.time_wait import pack_key

# A settings file has a few kB; more is a mistake or an attack.
_LARGEST_FILE: Final = 1 << 20
_DEEPEST: Final = 4
_PROGRAMS: Final = frozenset(map(Path, ("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin")))
_OK: Final = CommandResult("", 0)
_DISCARDED: Final = re.compile(r"(?<!\S)(&|[12])?>>?\s*(?:/dev/null|&[12])(?!\S)")
_ARITHMETIC: Final = re.compile(r"\$\(\(\s*([0-9]+(?:\s*\*\s*[0-9]+)*)\s*\)\)")
# Characters looked at in one search, states of the pattern counted: some seconds.
_MOST_STEPS: Final = 20_000_000
# Where FreeBSD's words differ from the RFC's: usr.bin/sockstat prints tcpstates[], tcp_fsm.h.
_FREEBSD_STATES: Final = {"SYN-RECEIVED": "SYN_RCVD"}
_SS_STATES: Final = {"ESTABLISHED": "ESTAB", "SYN-RECEIVED": "SYN-RECV"}
_NETSTAT_STATES: Final = {
    "linux": {"SYN-RECEIVED": "SYN_RECV", "FIN-WAIT-1": "FIN_WAIT1", "FIN-WAIT-2": "FIN_WAIT2"},
    "freebsd": {"SYN-RECEIVED": "SYN_RCVD"},
}


def freebsd_state(state: State) -> str:
    """Return a state's name as FreeBSD prints it."""
    return _FREEBSD_STATES.get(str(state), str(state).replace("-", "_"))


class Commands:
    """The host's shell.  `folder`: where settings files lie."""

    def __init__(self, host: Host, process: Process, folder: PurePath) -> None:
        self.host = host
        self.process = process
        self.tcp = host.tcp
        self.system = host.system
        self.folder = folder
        self.values: dict[str, str] = {}  # settings without a field of their own, as last set
        self.depth = 0

    def run(self, text: str) -> CommandResult:
        """Run a command, or several on lines of their own or behind `;`, `&&` and `||`.

        Raises `UnknownCommandError` for what the engine cannot answer, with near names.
        """
        output = ""
        status = 0
        for line in text.replace("\\\n", " ").splitlines():
            for joined, pipeline in _pipelines(line):
                if (joined == "&&" and status) or (joined == "||" and not status):
                    continue
                result = self.pipeline(pipeline)
                output += result.output
                status = result.status
        return CommandResult(output, status)

    def pipeline(self, commands: list[str]) -> CommandResult:
        """Run commands joined by `|`; the last one's status counts."""
        result = _OK
        for command in commands:
            quiet = any(found[1] != "2" for found in _DISCARDED.finditer(command))
            words = _words(_DISCARDED.sub("", command))
            if words:
                result = self.one(words, result.output)
            if quiet:
                result = CommandResult("", result.status)
        return result

    def one(self, words: list[str], given: str) -> CommandResult:
        """Run one command with what the one before it printed."""
        name = words[0]
        handler = _COMMANDS.get(name.rsplit("/", 1)[-1])
        if handler is not None:
            return handler(self, words[1:], given)
        if "/" in name:
            return self.source([name], given)
        near = get_close_matches(name, _COMMANDS, n=3, cutoff=0.4)
        known = f"near it: {', '.join(near)}" if near else f"it knows {', '.join(sorted(_COMMANDS))}"
        raise UnknownCommandError(f"the engine's host has no command {name}", known)

    # --- Files of settings

    def source(self, words: list[str], given: str) -> CommandResult:
        """Read a settings file, its path counted from the script's folder."""
        files = [word for word in words if not word.startswith("-")]
        if len(files) != 1:
            raise UnknownCommandError("one file of settings is wanted", "sh ./settings.sh")
        if re.fullmatch(r"sysctl_restore_.*\.sh", PurePath(files[0]).name):
            return _OK  # what set_sysctls.py leaves behind to undo it; a world of the engine ends with its script
        path = Path(self.folder, files[0])
        if path.parent in _PROGRAMS:
            raise UnknownCommandError(f"the engine's host has no command {files[0]}", "it runs no programs")
        try:
            if not path.is_file():
                raise UnknownCommandError(f"there is no file {path}")
            if path.stat().st_size > _LARGEST_FILE:
                raise UnknownCommandError(f"{path} is longer than {_LARGEST_FILE} octets")
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError, ValueError) as error:
            raise UnknownCommandError(f"{path} cannot be read: {error}") from None
        if self.depth >= _DEEPEST:
            raise UnknownCommandError(f"{path}: settings files inside each other, {_DEEPEST} deep")
        self.depth += 1
        try:
            return self.run(text)
        finally:
            self.depth -= 1

    # --- sysctl

    def sysctl(self, words: list[str], given: str) -> CommandResult:
        """`sysctl [-n] [-q] [-w] name[=value] ..`."""
        flags = "".join(word[1:] for word in words if word.startswith("-"))
        if set(flags) - set("nqweqi"):
            raise UnknownCommandError(f"sysctl: the flags -{flags} are not known", "-n, -q and -w are")
        lines = []
        for word in words:
            if word.startswith("-"):
                continue
            name, equals, value = word.partition("=")
            name = name.strip().replace("/", ".")
            before = self.get_sysctl(name)
            if equals:
                self.set_sysctl(name, value)
            after = self.get_sysctl(name)
            if "q" in flags:
                continue
            if "n" in flags:
                lines.append(after)
            elif self.system == "freebsd":
                lines.append(f"{name}: {before} -> {after}" if equals else f"{name}: {after}")
            else:
                lines.append(f"{name} = {after}")
        return CommandResult("".join(line + "\n" for line in lines), 0)

    def set_sysctl(self, name: str, value: str) -> None:
        """Set a setting.  Raises `UnknownCommandError` for one not known, or a value the engine cannot act on."""
        value = value.strip()
        computed = COMPUTED[self.system].get(name)
        spelled = SPELLED.get(name) if self.system == "linux" else None
        agrees = AGREES[self.system].get(name)
        try:
            if spelled is not None:
                self.tcp.shared.profile = self.tcp.profile.changed(**spelled(self.tcp.profile, value))
            elif computed is not None:
                changes = computed(self.tcp.profile, int(value, 0))
                self.tcp.shared.profile = self.tcp.profile.changed(**changes)
            elif name in self.tcp.profile.sysctls or agrees is None:
                self.tcp.set_sysctl(name, value)
                return
            elif agrees and value not in agrees:
                raise UnknownCommandError(
                    f"{name} = {value}: the engine cannot act on that", f"it does as with {', '.join(sorted(agrees))}"
                )
        except ValueError:
            raise UnknownCommandError(
                f"{name} = {value}: that is not what it takes", "see its value on a host: sysctl " + name
            ) from None
        except settings.SettingError as error:
            raise self._unknown(name, error) from None
        self.values[name] = value

    def get_sysctl(self, name: str) -> str:
        """Return a setting as it was last set."""
        if name in self.values:
            return self.values[name]
        extra = (
            name in COMPUTED[self.system] or name in AGREES[self.system] or (name in SPELLED and self.system == "linux")
        )
        if name in self.tcp.profile.sysctls or not extra:
            try:
                value = self.tcp.get_sysctl(name)
            except settings.SettingError as error:
                raise self._unknown(name, error) from None
            return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        return next(iter(sorted(AGREES[self.system].get(name, ()))), "")

    def _unknown(self, name: str, error: settings.SettingError) -> UnknownCommandError:
        names = [*self.tcp.profile.sysctls, *COMPUTED[self.system], *AGREES[self.system]]
        if name in names:
            return UnknownCommandError(error.what, error.hint)
        near = get_close_matches(name, names, n=3, cutoff=0.4)
        return UnknownCommandError(error.what, f"near it: {', '.join(near)}" if near else error.hint)

    def set_sysctls(self, words: list[str], given: str) -> CommandResult:
        """`set_sysctls.py /proc/sys/net/ipv4/NAME=VALUE ..`, the helper of packetdrill's own tests."""
        for word in words:
            name, _, value = word.partition("=")
            self.set_sysctl(name.removeprefix("/proc/sys/").replace("/", "."), value)
        return _OK

    # --- Looking at sockets

    def rows(self) -> list[SocketRow]:
        """Return all sockets with a state, in the order in which the stack has them."""
        return self.tcp.sockets()

    def descriptors(self) -> dict[int, int]:
        """Return the number that the process has for each socket it holds."""
        return {each.handle: number for number, each in self.process.open.items() if each.watched is None}

    def closed(self) -> list[SocketRow]:
        """Return the sockets that the process holds and that are in no state but CLOSED."""
        rows = []
        for handle in self.descriptors():
            key = self.tcp.name(handle)
            if key is not None and self.tcp.state(handle) is CLOSED and self.tcp.state_of(key) is CLOSED:
                rows.append(SocketRow(handle, CLOSED, *key, 0, 0, None))
        return rows

    def sockstat(self, words: list[str], given: str) -> CommandResult:
        """FreeBSD's columns, a line a TCP socket: usr.bin/sockstat/sockstat.c."""
        families = {word for word in words if word in ("-4", "-6")} or {"-4", "-6"}
        ports = _option(words, "-p")
        wanted = set(map(int, ports.split(","))) if ports and re.fullmatch(r"[0-9,]+", ports) else None
        heading = f"{'USER':<8} {'COMMAND':<10} {'PID':<5} {'FD':<2} {'PROTO':<6} {'LOCAL ADDRESS':<21} "
        lines = [f"{heading}{'FOREIGN ADDRESS':<21} {'CONN STATE'}"]
        descriptors = self.descriptors()
        for row in self.rows() + self.closed():
            version = "-6" if len(row.local or self.tcp.addresses[0]) == 16 else "-4"
            if version not in families or (wanted and not {row.local_port, row.remote_port} & wanted):
                continue
            local, remote = _endpoint(row.local, row.local_port), _endpoint(row.remote, row.remote_port)
            state = freebsd_state(row.state) if "-s" in words else ""
            where = f"{descriptors.get(row.handle, '?'):<2} tcp{version[1]:<3} {local:<21} {remote:<21} {state}"
            lines.append(f"{'root':<8} {'packetdril':<10} {1:<5} {where}".rstrip())
        return _printed(lines)

    def ss(self, words: list[str], given: str) -> CommandResult:
        """A line a socket: state, queues, both ends; `-l` listeners alone, `-a` all, else what is connected."""
        flags = "".join(word[1:] for word in words if word.startswith("-"))
        lines = [] if "H" in flags else ["State Recv-Q Send-Q Local Address:Port Peer Address:Port"]
        states = {word for before, word in itertools.pairwise(words) if before == "state"}
        for row in self.rows():
            name = _SS_STATES.get(str(row.state), str(row.state))
            listens = name == "LISTEN"
            chosen = name.lower() in {each.lower() for each in states} if states else None
            if chosen is False or (chosen is None and "a" not in flags and listens != ("l" in flags)):
                continue
            queues = f"{row.receive_queue:<6} {row.send_queue:<6}"
            ends = f"{_endpoint(row.local, row.local_port)} {_endpoint(row.remote, row.remote_port)}"
            lines.append(f"{name:<10} {queues} {ends}")
        return _printed(lines)

    def netstat(self, words: list[str], given: str) -> CommandResult:
        """`netstat -an`: a line a socket, states as the system spells them."""
        lines = ["Proto Recv-Q Send-Q Local Address Foreign Address State"]
        spelled = _NETSTAT_STATES[self.system]
        for row in self.rows():
            proto = "tcp6" if len(row.local or self.tcp.addresses[0]) == 16 else "tcp4"
            state = spelled.get(str(row.state), str(row.state).replace("-", "_"))
            ends = f"{_endpoint(row.local, row.local_port)} {_endpoint(row.remote, row.remote_port)}"
            lines.append(f"{proto:<5} {row.receive_queue:>6} {row.send_queue:>6} {ends} {state}")
        return _printed(lines)

    def nstat(self, words: list[str], given: str) -> CommandResult:
        """Counters under Linux's names; those that moved, or with `-z` those asked for too."""
        names = [word for word in words if not word.startswith("-")]
        counters = {f"Tcp{name}" if name in _SNMP else _extended(name): each for name, each in self.counters().items()}
        chosen = names or sorted(counters)
        lines = ["#kernel"] + [f"{name:<32}{counters.get(name, 0):<16}0.0" for name in chosen]
        return _printed(lines)

    def counters(self) -> Mapping[str, int]:
        """Return what the stack has counted."""
        return self.tcp.counters

    # --- Ending connections

    def tcpdrop(self, words: list[str], given: str) -> CommandResult:
        """`tcpdrop -a` or `tcpdrop -s STATE`: end connections as FreeBSD's tcp_drop() does, ECONNABORTED."""
        state = _option(words, "-s")
        if state is None and "-a" not in words:
            raise UnknownCommandError("tcpdrop: say which", "tcpdrop -s TIME_WAIT, or tcpdrop -a")
        now = self.host.instant()
        lines = []
        for row in self.rows():
            name = freebsd_state(row.state)
            if name == "LISTEN" or (state is not None and name != state):
                continue
            key = (row.local, row.local_port, row.remote, row.remote_port)
            self.host.perform(self._drop(key, now))
            ends = f"{ip_address(row.local)} {row.local_port} {ip_address(row.remote)} {row.remote_port}"
            lines.append(f"{ends}: dropped")
        return _printed(lines)

    def _drop(self, key: tuple[bytes, int, bytes, int], now: int) -> Events:
        out: Events = []
        conn = self.tcp.connections.get(key)
        if conn is None:
            packed = pack_key(FourTuple(*key))
            wait = self.tcp.waits.find(packed)
            if wait is not None:
                self.tcp.forget(FourTuple(*key), packed, wait, out)
            return out
        gone = conn.user_gone
        calls.abort(conn, now, out)
        conn.user_gone = gone
        conn.error = Errno.ECONNABORTED
        self.tcp.settle(conn, now, out)
        return out

    # --- Text

    def grep(self, words: list[str], given: str) -> CommandResult:
        """`grep [-c] [-q] [-v] [-E] [-F] [-i] [-w] PATTERN` of what came before."""
        flags = "".join(word[1:] for word in words if word.startswith("-") and len(word) > 1 and word != "-e")
        patterns = [word for word in words if not word.startswith("-")]
        if len(patterns) > 1:
            raise UnknownCommandError(
                f"grep {' '.join(words)}: the engine's host has no files", "grep looks through what a command printed"
            )
        if set(flags) - set("cqvEFiw") or len(patterns) != 1:
            raise UnknownCommandError(f"grep {' '.join(words)}: one pattern, and of the flags -c -q -v -E -F -i -w")
        text = patterns[0]
        try:
            pattern = Pattern(
                re.sub(r"([\\[*.^$])", r"\\\1", text) if "F" in flags else text,
                extended="E" in flags and "F" not in flags,
                ignore_case="i" in flags,
                word="w" in flags,
            )
        except PatternError as error:
            raise UnknownCommandError(f"grep: {error.what}") from None
        if len(given) * len(pattern.states) > _MOST_STEPS:
            raise UnknownCommandError(f"grep: the pattern {text[:40]} is too large for so much text")
        found = [line for line in given.splitlines() if pattern.search(line) != ("v" in flags)]
        lines = [] if "q" in flags else [str(len(found))] if "c" in flags else found
        return CommandResult("".join(line + "\n" for line in lines), 0 if found else 1)

    def wc(self, words: list[str], given: str) -> CommandResult:
        """`wc -l`."""
        if words != ["-l"]:
            raise UnknownCommandError(f"wc {' '.join(words)}: only wc -l is known")
        return CommandResult(f"{given.count(chr(10))}\n", 0)

    def nothing(self, words: list[str], given: str) -> CommandResult:
        """A command that has nothing to do here: modules, queues, caches and captures that the engine has not."""
        return _OK

    def echo(self, words: list[str], given: str) -> CommandResult:
        """Print the words."""
        return CommandResult(" ".join(words) + "\n", 0)

    def false(self, words: list[str], given: str) -> CommandResult:
        """Fail."""
        return CommandResult("", 1)


_COMMANDS: Final[Mapping[str, Callable[[Commands, list[str], str], CommandResult]]] = {
    "sysctl": Commands.sysctl,
    "set_sysctls.py": Commands.set_sysctls,
    "sockstat": Commands.sockstat,
    "ss": Commands.ss,
    "netstat": Commands.netstat,
    "nstat": Commands.nstat,
    "tcpdrop": Commands.tcpdrop,
    "grep": Commands.grep,
    "egrep": lambda shell, words, given: shell.grep(["-E", *words], given),
    "wc": Commands.wc,
    "echo": Commands.echo,
    "cat": lambda shell, words, given: CommandResult(given, 0),
    "true": Commands.nothing,
    "false": Commands.false,
    "kldload": Commands.nothing,
    "kldstat": Commands.nothing,
    "kldunload": Commands.nothing,
    "tcpdump": Commands.nothing,
    "pkill": Commands.nothing,
    "ip": Commands.nothing,
    "tc": Commands.nothing,
    "ethtool": Commands.nothing,
    "sync": Commands.nothing,
    "sh": Commands.source,
    "bash": Commands.source,
    ".": Commands.source,
    "source": Commands.source,
}
# Counters of /proc/net/snmp; the others are of /proc/net/netstat.
_SNMP: Final = frozenset(
    {
        *("ActiveOpens", "PassiveOpens", "AttemptFails", "EstabResets", "CurrEstab"),
        *("InSegs", "OutSegs", "RetransSegs", "InErrs", "OutRsts"),
    }
)


def _extended(name: str) -> str:
    return f"TcpExt{name}"


def _pipelines(line: str) -> list[tuple[str, list[str]]]:
    """Split a line at `;`, `&&` and `||` into pipelines, and these at `|`, outside quotes; comments go.

    The first of each pair is what stands before the pipeline.
    """
    parts: list[tuple[str, list[str]]] = [("", [""])]
    quote = ""
    at = 0
    while at < len(line):
        char = line[at]
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == "#" and (at == 0 or line[at - 1].isspace()):
            break
        elif (joined := next((each for each in (";", "&&", "||") if line.startswith(each, at)), None)) is not None:
            parts.append((joined, [""]))
            at += len(joined)
            continue
        elif char == "|":
            parts[-1][1].append("")
            at += 1
            continue
        parts[-1][1][-1] += char
        at += 1
    return [each for each in parts if any(command.strip() for command in each[1])]


def _words(command: str) -> list[str]:
    plain = _ARITHMETIC.sub(_multiplied, command)
    try:
        return shlex.split(plain)
    except ValueError as error:
        raise UnknownCommandError(f"{command.strip()}: {error}") from None


def _multiplied(found: re.Match[str]) -> str:
    product = 1
    for factor in found[1].split("*"):
        product = product * int(factor) % (1 << 64)
    return str(product)


def _option(words: list[str], flag: str) -> str | None:
    for before, word in itertools.pairwise(words):
        if before == flag:
            return word
    return next((word[len(flag) :] for word in words if word.startswith(flag) and len(word) > len(flag)), None)


def _endpoint(address: bytes, port: int) -> str:
    host = str(ip_address(address)) if address else "*"
    return f"{f'[{host}]' if ':' in host else host}:{port or '*'}"


def _printed(lines: list[str]) -> CommandResult:
    return CommandResult("".join(line + "\n" for line in lines), 0)
