"""Jobs: the example of the reference on the stacks that the project measures, and what becomes of trouble."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timewait.script.job import Job, own_names, run

WORDS = """0 -1 4294967295 ... S F. R . 3 99 +1 +99999 * NULL [1] {a=1} close read listen connect 1:1(0) 5:105(100)"""
EXAMPLE = Path(__file__).parent.parent.parent / "examples/active-close.pkt"


@pytest.mark.parametrize("profile", ["linux", "linux-4.0", "freebsd", "rfc9293"])
def test_the_example_passes(profile: str) -> None:
    """RFC 9293 3.10.7.4: TIME-WAIT answers a FIN that comes again; every wait of these lasts longer than 30 s."""
    result = run(Job(path=str(EXAMPLE), profile=profile, strict=True))
    assert result.passed, result


def test_the_stacks_own_name_is_defined() -> None:
    assert {"freebsd", "FreeBSD"} <= set(own_names(Job(path="x", profile="freebsd")))
    assert {"linux", "Linux", "linux-4.0"} <= set(own_names(Job(path="x", profile="linux-4.0")))
    assert own_names(Job(path="x", world="kernel")) == {"linux": "", "Linux": ""}


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_script_that_means_something_else_is_no_fault_of_the_program(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    lines = [line.split(" ") for line in EXAMPLE.read_text().split("\n")]
    for _ in range(data.draw(st.integers(1, 3))):
        line = data.draw(st.sampled_from(lines))
        line[data.draw(st.integers(0, len(line) - 1))] = data.draw(st.sampled_from(WORDS.split()))
    file = tmp_path_factory.getbasetemp() / "changed.pkt"
    file.write_text("\n".join(" ".join(line) for line in lines))
    result = run(Job(path=str(file), profile=data.draw(st.sampled_from(["linux", "freebsd"]))))
    assert result.error is None or "a fault of timewait itself" not in result.error[0]
