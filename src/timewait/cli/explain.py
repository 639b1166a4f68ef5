"""`timewait explain`: the causes of a symptom judged for this host, or what a finding means."""

import json
from pathlib import Path

import click

from timewait.cli.doctor import load, look_at, width
from timewait.endpoint import Endpoint, parse
from timewait.errors import Exit, UsageError
from timewait.host.causes import SYMPTOMS, Question, Verdict, judge, symptom
from timewait.host.limits import Limits
from timewait.host.look import Look
from timewait.host.meanings import MEANINGS
from timewait.report.explain import cause_data, cause_lines, meaning_data, meaning_lines

_EPILOG = """\b
Examples:
  timewait explain EADDRNOTAVAIL --to 192.0.2.7:5432
  timewait explain EADDRINUSE --from 0.0.0.0:8080
  timewait explain "1-second connects" --interval 10
  timewait explain ports-gone                what a finding of doctor means

\b
Exit status: 0 nothing confirmed, or a finding explained; 1 a cause is confirmed; 64 usage; 69 this machine cannot.
"""


@click.command(epilog=_EPILOG)
@click.argument("what")
@click.option("--to", metavar="ADDR[:PORT]", default="", help="The destination that connect() was for.")
@click.option("--from", "source", metavar="ADDR[:PORT]", default="", help="The own end: what bind() was for.")
@click.option("--netns", metavar="NAME|PID", default="", help="Look into this network namespace.")
@click.option("--interval", type=click.FloatRange(0, 3600), default=0.0, help="Read the counters again after SECONDS.")
@click.option("--snapshot", type=click.Path(dir_okay=False, path_type=Path), help="Judge a saved FILE instead.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def explain(what: str, to: str, source: str, netns: str, interval: float, snapshot: Path | None, as_json: bool) -> int:
    """Judge every known cause of a symptom on this host, or explain a finding.  Reads only.

    WHAT is EADDRNOTAVAIL, EADDRINUSE, "slow connects", "connect timeout", or the id of a finding.  Each cause is
    confirmed, ruled out, or not decidable from outside the program, with the evidence.
    """
    if meaning := MEANINGS.get(what):
        print(
            json.dumps(meaning_data(what, meaning), indent=2)
            if as_json
            else "\n".join(meaning_lines(what, meaning, width()))
        )
        return Exit.OK
    name = symptom(what)
    if name is None:
        raise _unknown(what)
    if snapshot and (netns or interval):
        raise UsageError("--snapshot examines a file: it goes with neither --netns nor --interval", "leave them out")
    asked = Question(parse(to) if to else None, parse(source) if source else None)
    seen = load(snapshot) if snapshot else look_at(netns, interval, Limits())
    if snapshot is None and asked.source:
        asked = _looked_up(asked, asked.source)
    causes = judge(name, Look(seen, Limits()), asked)
    print(json.dumps(cause_data(name, causes), indent=2) if as_json else "\n".join(cause_lines(name, causes, width())))
    return Exit.WARNING if any(cause.verdict is Verdict.CONFIRMED for cause in causes) else Exit.OK


def _looked_up(asked: Question, source: Endpoint) -> Question:
    from timewait.host import collector

    here, standing = collector.own_end(source)
    return asked._replace(source_here=here, standing=standing)


def _unknown(what: str) -> UsageError:
    import difflib

    near = difflib.get_close_matches(what, [*SYMPTOMS, *MEANINGS], 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return UsageError(f"{what!r} is neither a symptom nor a finding", f"{hint}symptoms: {', '.join(SYMPTOMS)}")
