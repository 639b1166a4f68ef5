"""`timewait explain`: the causes of a symptom judged for this host, or what a finding means."""

import json
import sys
from pathlib import Path
from typing import Final

import click

from timewait.cli.doctor import load, look_at
from timewait.cli.output import WHEN, show_lines, width
from timewait.clock import SECOND, readable
from timewait.endpoint import Endpoint, parse
from timewait.errors import Exit, UsageError
from timewait.host.causes import SYMPTOMS, Heard, Question, Verdict, judge, of_a_second, said, symptom
from timewait.host.limits import Limits
from timewait.host.look import Look
from timewait.host.meanings import MEANINGS
from timewait.report.explain import cause_data, cause_lines, meaning_data, meaning_lines
from timewait.system import attempt, command
from timewait.system.netns import enter

_EPILOG = """\b
Examples:
  timewait explain EADDRNOTAVAIL --to 192.0.2.7:5432
  timewait explain EADDRINUSE --from 0.0.0.0:8080 --try
  timewait explain "1-second connects" --to 192.0.2.7:5432 --try
  timewait explain --errno-from "curl http://192.0.2.7/" --to 192.0.2.7:80
  timewait explain EADDRNOTAVAIL --errno-from "curl http://192.0.2.7/" --to 192.0.2.7:80
  timewait explain ports-gone                what a finding of doctor means

\b
--try makes one real connect() to --to, for 10 s at most, and resets the connection, which leaves no TIME-WAIT; for
EADDRINUSE it is a bind() of --from, without listening.  --errno-from runs a command of yours, without a shell, for
60 s at most, and takes the error from its words, or from an exit status that is an errno; with WHAT too it says whether
they agree, and WHAT is judged.  --from is an end of the
connection here; the file that `doctor` and `sockets` read with --from is named with --snapshot, as they know it too.

\b
Exit status: 0 nothing confirmed, or a finding explained; 1 a cause is confirmed; 64 usage; 69 this machine cannot.
"""
_TRY_LIMIT: Final = 10 * SECOND
_COMMAND_LIMIT: Final = 60 * SECOND


@click.command(epilog=_EPILOG)
@click.argument("what", required=False, default="")
@click.option("--to", metavar="ADDR[:PORT]", default="", help="The destination that connect() was for.")
@click.option("--from", "source", metavar="ADDR[:PORT]", default="", help="The own end: what bind() was for.")
@click.option("--errno-from", "line", metavar="COMMAND", default="", help="Run COMMAND and explain its error.")
@click.option("--try", "trying", is_flag=True, help="Make one real connect() or bind() and read what comes of it.")
@click.option("--netns", metavar="NAME|PID", default="", help="Look into this network namespace.")
@click.option("--interval", type=click.FloatRange(0, 3600), default=0.0, help="Read the counters again after SECONDS.")
@click.option("--snapshot", type=click.Path(dir_okay=False, path_type=Path), help="Judge a saved FILE instead.")
@click.option("--color", "colour", type=click.Choice(WHEN), default="auto", help="Colour: on a terminal, or as said.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def explain(
    what: str,
    to: str,
    source: str,
    line: str,
    trying: bool,
    netns: str,
    interval: float,
    snapshot: Path | None,
    colour: str,
    as_json: bool,
) -> int:
    """Judge every known cause of a symptom on this host, or explain a finding.  Changes nothing.

    WHAT is EADDRNOTAVAIL, EADDRINUSE, "slow connects", "connect timeout", or the id of a finding; or it is left out,
    and --errno-from tells; with both, whether they agree.  Without --from the own address is what the kernel takes.
    Each cause is confirmed, ruled out, or not decidable from outside the program, with the evidence.
    """
    if meaning := MEANINGS.get(what):
        if as_json:
            print(json.dumps(meaning_data(what, meaning), indent=2))
        else:
            show_lines(meaning_lines(what, meaning, width()), colour)
        return Exit.OK
    if snapshot and (netns or interval or trying or line):
        raise UsageError(
            "--snapshot examines a file: it goes with none of --netns, --interval, --try, --errno-from",
            "leave them out",
        )
    if not what and not line:
        raise UsageError("one of WHAT and --errno-from is needed", f"symptoms: {', '.join(SYMPTOMS)}")
    name = symptom(what) if what else ""
    if name is None:
        raise _unknown(what)
    asked = Question(parse(to) if to else None, parse(source) if source else None, a_second=of_a_second(what))
    if trying and what:
        _check(name, asked)
    if netns:
        enter(netns)
    if line:
        heard = _heard(line)
        asked = asked._replace(heard=heard._replace(agrees=heard.symptom == name) if name else heard)
        name = name or heard.symptom or ""
    if not name:
        if as_json:
            print(json.dumps(cause_data(None, [], asked), indent=2))
        return Exit.OK
    seen = load(snapshot) if snapshot else look_at("", interval, Limits())._replace(namespace=netns)
    if snapshot is None and asked.source:
        here, standing, pair = _own_end(asked.source, asked.to)
        asked = asked._replace(source_here=here, standing=standing, pair=pair)
    if snapshot is None and asked.to and not asked.source:
        asked = asked._replace(route=_source_for(asked.to.address))
    if snapshot is None and asked.to and asked.to.port:
        asked = asked._replace(ranges=_own_ranges(asked.to))
    if trying:
        _check(name, asked)
        asked = asked._replace(tried=_tried(name, asked))
    causes = judge(name, Look(seen, Limits()), asked)
    if as_json:
        print(json.dumps(cause_data(name, causes, asked), indent=2))
    else:
        show_lines(cause_lines(name, causes, asked, width()), colour)
    return Exit.WARNING if any(cause.verdict is Verdict.CONFIRMED for cause in causes) else Exit.OK


def _own_end(source: Endpoint, to: Endpoint | None) -> tuple[bool, dict[str, int], dict[str, int] | None]:
    from timewait.host import collector

    return collector.own_end(source, to)


def _own_ranges(to: Endpoint) -> dict[tuple[int, int], int] | None:
    from timewait.host import collector

    return collector.own_ranges(to).get(to)


def _source_for(address: str) -> tuple[str, str]:
    from timewait.system import machine

    return machine.source_for(address)


def _heard(line: str) -> Heard:
    """Run the user's command and return the symptom that it shows; its output goes to stderr."""
    done = command.run(line, _COMMAND_LIMIT, _pass_on)
    found = said(done.output, done.status)
    ended = "was still running and was ended" if done.status is None else f"ended with status {done.status}"
    told = f"it says {found}" if found else f"it names none of: {', '.join(SYMPTOMS)}"
    print(f"the command {ended} after {readable(done.took)}; {told}", file=sys.stderr)
    return Heard(found, done.status, done.took)


def _pass_on(data: bytes) -> None:
    sys.stderr.buffer.write(data)
    sys.stderr.flush()


def _check(name: str, asked: Question) -> None:
    if name == "EADDRINUSE" and asked.source is None:
        raise UsageError("--try has nothing to bind", "name the own end: --from ADDR:PORT")
    if name and name != "EADDRINUSE" and (asked.to is None or not asked.to.port):
        raise UsageError("--try has nowhere to connect to", "name the destination: --to ADDR:PORT")


def _tried(name: str, asked: Question) -> tuple[attempt.Attempt, ...]:
    if name != "EADDRINUSE":
        assert asked.to is not None
        return (attempt.connect(asked.to, asked.source, _TRY_LIMIT),)
    assert asked.source is not None
    plain = attempt.bind(asked.source, reuse_address=False)
    return (plain,) if plain.ok else (plain, attempt.bind(asked.source, reuse_address=True))


def _unknown(what: str) -> UsageError:
    import difflib

    near = difflib.get_close_matches(what, [*SYMPTOMS, *MEANINGS], 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return UsageError(f"{what!r} is neither a symptom nor a finding", f"{hint}symptoms: {', '.join(SYMPTOMS)}")
