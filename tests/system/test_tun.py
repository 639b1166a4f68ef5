import os
from pathlib import Path

import pytest

from needs import require_namespaces, require_tun
from timewait.errors import UnavailableError
from timewait.lab.kernel import KernelHost
from timewait.system import rtnetlink, tun
from timewait.system.tun import TunSetup

SETUP = TunSetup([("192.0.2.1", 24), ("2001:db8::1", 64)], name="wire%d")


def interfaces(host: KernelHost) -> str:
    return Path(f"/proc/{host.pid}/net/dev").read_text()


def test_a_device_is_in_the_namespace_alone_and_goes_with_its_descriptor() -> None:
    require_tun()
    before = os.listdir("/sys/class/net")
    with KernelHost() as host:
        device = host.open_tun(SETUP._replace(mtu=1400))
        assert device.name == "wire0"
        assert "wire0:" in interfaces(host)
        assert os.listdir("/sys/class/net") == before
        assert not os.get_inheritable(device.fileno())
        assert Path(f"/proc/{host.pid}/net/if_inet6").read_text().count("wire0") >= 1
        device.close()
        device.close()
        for _ in range(100):  # the kernel takes a device down in its own time
            if "wire0:" not in interfaces(host):
                break
            host.wait(20_000_000)
        assert "wire0:" not in interfaces(host)


def test_the_agent_keeps_no_copy_of_the_descriptor() -> None:
    require_tun()
    with KernelHost() as host:
        folder = Path(f"/proc/{host.pid}/fd")
        before = len(list(folder.iterdir()))
        with pytest.raises(UnavailableError):
            host.open_tun(SETUP._replace(addresses=[("192.0.2.1", 99)]))
        host.open_tun(SETUP).close()
        assert len(list(folder.iterdir())) == before


def test_no_packet_is_no_error_and_a_broken_one_is_dropped() -> None:
    require_tun()
    with KernelHost() as host:
        device = host.open_tun(SETUP._replace(offload=True))
        while device.receive():
            pass
        assert device.receive() == b""
        assert not device.send(b"\x00")
        device.close()


def test_the_machines_own_stack_gets_no_device() -> None:
    with KernelHost(private=False) as host, pytest.raises(UnavailableError, match="machine's own") as raised:
        host.open_tun(SETUP)
    assert raised.value.hint


@pytest.mark.parametrize(
    ("setup", "words"),
    [
        (SETUP._replace(addresses=[("192.0.2.1", 99)]), "cannot have the address 192.0.2.1/99"),
        (SETUP._replace(mtu=1), "cannot be brought up with an MTU of 1"),
        (SETUP._replace(name="a name of far too many characters"), "cannot be made"),
    ],
)
def test_what_the_kernel_refuses_is_named(setup: TunSetup, words: str) -> None:
    require_tun()
    with KernelHost() as host, pytest.raises(UnavailableError) as raised:
        host.open_tun(setup)
    assert words in raised.value.what


@pytest.mark.parametrize(("path", "way"), [("/dev/net/absent", "modprobe tun"), ("/dev", "chmod 666")])
def test_a_machine_without_tun_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch, path: str, way: str) -> None:
    monkeypatch.setattr(tun, "DEVICE", path)
    with pytest.raises(UnavailableError, match="cannot be opened") as raised:
        tun.create(SETUP)
    assert way in raised.value.hint


def test_an_address_for_a_link_that_is_not_there() -> None:
    require_namespaces()
    with pytest.raises((UnavailableError, OSError)):
        rtnetlink.add_address("absent0", "192.0.2.1", 24)
