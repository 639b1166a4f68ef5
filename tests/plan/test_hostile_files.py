"""Files that are broken anywhere: a workload, or an error in words, and nothing else."""

import random
from pathlib import Path

import pytest

from timewait.errors import TimewaitError
from timewait.plan import importers, workload_file
from timewait.plan.forecast import forecast
from timewait.plan.importers.imported import Asked
from timewait.plan.workload import Workload

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
SIGNS = "\\\"'{}[];#%="
BROKEN = ["0", "-1", "1e999", "9" * 30, "nan", "''", "{}", "[]", "true", "::1", "65536", "*a", "&a", "\0", *SIGNS]
SEEDS = {
    "toml": "".join(path.read_text() for path in sorted(EXAMPLES.glob("*.toml"))),
    "nginx": "http { upstream a { server 10.0.0.1:80; keepalive 8; } server { location / { proxy_pass http://a; } } }",
    "haproxy": "defaults\n http-reuse safe\nbackend a\n source 10.0.0.5:1024-2048\n server x 10.0.0.1:80 maxconn 5\n",
    "prometheus": "global: {scrape_interval: 15s}\nscrape_configs: [{job_name: a, static_configs: [{targets: [b]}]}]",
    "k6": "export const options = { vus: 5, scenarios: { a: { executor: 'constant-arrival-rate', rate: 5 } } };",
}


def broken(text: str, chance: random.Random) -> str:
    letters = list(text)
    for _ in range(chance.randint(1, 5)):
        at = chance.randrange(len(letters) + 1)
        letters[at : at + chance.randint(0, 6)] = chance.choice([chance.choice(BROKEN), "", text[at:][:30]])
    return "".join(letters)


def read(kind: str, text: str) -> Workload | str:
    """Return the workload, planned once, or what is said of it."""
    try:
        if kind == "toml":
            load = workload_file.read(text, "file")
        else:
            load = importers.load(kind, text, "file", Asked(100.0, 0.1)).workload
        forecast(load)
    except TimewaitError as error:
        return error.what
    return load


@pytest.mark.parametrize("kind", SEEDS)
def test_a_file_that_is_broken_anywhere_is_read_or_refused_in_words(kind: str) -> None:
    if kind == "prometheus":
        pytest.importorskip("yaml")
    chance = random.Random(kind)
    refused = 0
    for _ in range(300):
        found = read(kind, broken(SEEDS[kind], chance))
        if isinstance(found, str):
            refused += 1
            assert 0 < len(found) < 500
        else:
            assert workload_file.read(workload_file.write(found), "written").flows
    assert refused
