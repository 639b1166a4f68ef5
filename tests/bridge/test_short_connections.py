"""Ten thousand short connections through a link that loses and reorders: each is served, each ends in order."""

from collections import Counter

import pytest

from bridged import ROUGH, V4, V6, Family, Web, world
from needs import require_program
from timewait.endpoint import Endpoint

EACH = 5_000


@pytest.mark.parametrize("family", [V4, V6], ids=["IPv4", "IPv6"])
def test_five_thousand_short_connections_of_curl(family: Family) -> None:
    require_program("curl")
    with world(conditions=ROUGH, seed=5) as both:
        both.bridge.programs.serve(Endpoint(family.engine, 80), lambda: Web(b"short"))
        command = ["curl", "--silent", "--show-error", "--parallel", "--parallel-immediate", "--parallel-max", "300"]
        command += ["--output", "/dev/null", "--write-out", "%{http_code} %{size_download} %{errormsg}\n"]
        printed = both.output([*command, f"{family.url()}[1-{EACH}]"])
        assert Counter(printed.splitlines()) == {"200 5 ": EACH}
        assert both.bridge.to_kernel.lost + both.bridge.from_kernel.lost > EACH * 8 * 0.005
        stack = both.bridge.stack
        # Duplicates of SYN may open a connection that nobody wants; none may be lost.
        assert stack.counters["PassiveOpens"] >= EACH
