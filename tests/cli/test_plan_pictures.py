"""Pages, pictures and imported files of `timewait plan`."""

import json
import re
import xml.etree.ElementTree as ElementTree
from importlib import resources
from pathlib import Path

import fastjsonschema
import pytest

from timewait.cli.group import run
from timewait.errors import UsageError
from timewait.plan import presets

HOSTS = Path(__file__).parent.parent / "hosts"


@pytest.mark.parametrize("name", presets.NAMES)
def test_the_page_of_a_preset_has_every_route_remedy_and_assumption(name: str, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    run(["plan", "--preset", name, "--html", str(file), "--json"])
    page = file.read_text()
    from timewait.plan.assumptions import assumptions
    from timewait.plan.forecast import forecast

    found = forecast(presets.get(name))
    words = re.sub(r"<[^>]*>", " ", page)
    for route in found.routes:
        assert route.name.replace(">", "&gt;") in words
    for said in assumptions(found):
        assert " ".join(said.split()[:4]).replace("'", "&#x27;").replace(">", "&gt;") in words
    assert page.count("<svg") == 3 * len(found.routes)
    assert not re.search(r"(src|href)=.https?:", page)  # asks nothing of a network


def test_a_picture_is_one_well_formed_file(tmp_path: Path) -> None:
    run(["plan", "--rate", "500/s", "--plot", str(tmp_path / "plan.svg")])
    root = ElementTree.parse(tmp_path / "plan.svg").getroot()
    texts = [each.text or "" for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"all 28,232 of client", "the step: half of them", "planned", "tcp_tw_reuse=1"} <= set(texts)


def test_a_picture_by_matplotlib(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    run(["plan", "--rate", "500/s", "--plot", str(tmp_path / "plan.png")])
    assert (tmp_path / "plan.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("file", ["plan.gif", "/nowhere/plan.svg"])
def test_a_picture_that_cannot_be_is_refused(file: str) -> None:
    with pytest.raises(UsageError, match=re.escape(file)):
        run(["plan", "--rate", "500/s", "--plot", file])


def test_the_json_keeps_to_its_schema(capsys: pytest.CaptureFixture[str]) -> None:
    text = resources.files("timewait.report").joinpath("schemas", "plan.json").read_text()
    check = fastjsonschema.compile(json.loads(text))
    for arguments in (
        ["--rate", "500/s", "--closer", "server", "--simulate", "100000", "--set", "ip_local_port_range=40000 40099"],
        ["--preset", "nat-gateway"],
        ["--preset", "monitor"],
        ["--rate", "1/s", "--profile", "smoltcp"],
    ):
        run(["plan", *arguments, "--json"])
        check(json.loads(capsys.readouterr().out))
    with pytest.raises(fastjsonschema.JsonSchemaException):
        check({"schema_version": 2, "command": "plan"})


def test_a_host_is_planned_and_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["plan", "--from-host", str(HOSTS / "ports-nearly-gone.json"), "--print"])
    (tmp_path / "mine.toml").write_text(capsys.readouterr().out)
    run(["plan", "--from-host", str(HOSTS / "ports-nearly-gone.json")])
    one = capsys.readouterr().out
    run(["plan", str(tmp_path / "mine.toml")])
    assert capsys.readouterr().out == one


def test_what_an_import_does_not_use_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "nginx.conf").write_text("daemon off;\nserver { location / { proxy_pass http://10.0.0.1:80; } }\n")
    run(["plan", "import", "nginx", str(tmp_path / "nginx.conf"), "--rate", "50/s"])
    shown = capsys.readouterr()
    assert "line 1    daemon off" in shown.err
    (tmp_path / "mine.toml").write_text(shown.out)
    run(["plan", str(tmp_path / "mine.toml")])
    assert "nginx -> 10.0.0.1:80" in capsys.readouterr().out
