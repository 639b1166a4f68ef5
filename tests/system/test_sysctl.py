import pytest

from timewait.errors import UnavailableError, UsageError
from timewait.system import sysctl


def test_a_whole_number_and_a_range_are_read_as_such() -> None:
    assert sysctl.read_int("net.ipv4.tcp_rfc1337") in (0, 1)
    span = sysctl.read_range("net.ipv4.ip_local_port_range")
    assert span is not None
    assert 0 < span[0] <= span[1] < 65536


def test_one_that_this_kernel_does_not_have_is_none() -> None:
    assert sysctl.read("net.ipv4.tcp_tw_recycle_again") is None
    assert sysctl.read_int("net.ipv4.tcp_tw_recycle_again") is None


def test_a_value_of_another_kind_is_one_clear_error() -> None:
    with pytest.raises(UnavailableError, match="a whole number was expected"):
        sysctl.read_int("net.ipv4.ip_local_port_range")


@pytest.mark.parametrize("name", ["", "x", "net..ipv4", "net./etc/passwd", "net.ipv4.../../x", "net.ipv4.a b"])
def test_what_is_no_name_of_a_sysctl_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        sysctl.read(name)
