"""net.ipv4.ip_autobind_reuse: bind() to port 0 may give out ports that wait."""

from timewait.endpoint import Endpoint
from timewait.lab.scenario import Observation, Parameter, Scenario, Settings, Stage, linux, observed
from timewait.lab.steps import RANGE, SERVER, closed, listen, must, result

_SETTING = "net.ipv4.ip_autobind_reuse"
_SOURCE = "Documentation/networking/ip-sysctl.rst, ip_autobind_reuse"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Use up a small range through bind() to port 0, with the setting off, then on."""
    host = stage.host
    listener = listen(host)
    ports = settings["ports"]
    found = []
    for on in (0, 1):
        host.set_sysctl(_SETTING, str(on))
        low = 50000 + on * 2000
        host.set_sysctl(RANGE, f"{low} {low + ports - 1}")
        count, last = 0, "ok"
        while count < 3 * ports and last == "ok":
            outcome = host.connect(SERVER, source=Endpoint(SERVER.address, 0), reuse_address=True)
            last = result(outcome)
            if outcome.ok:
                closed(host, outcome.value, must(host.accept(listener), "accepting"))
                count += 1
        found.append(observed(f"{on}: connects", count, linux(3 * ports if on else ports, _SOURCE)))
        found.append(observed(f"{on}: then", last, linux("ok" if on else "EADDRINUSE from bind()", _SOURCE)))
    return found


SCENARIO = Scenario(
    question="What does ip_autobind_reuse change for clients that bind to an address?",
    sources=(f"Linux: {_SOURCE}", "Linux: inet_csk_find_open_port(), net/ipv4/inet_connection_sock.c"),
    run=run,
    tags=("ports", "bind", "sysctl", "I2"),
    parameters=(Parameter("ports", 8, "ports in the range", 2, 1000),),
)
