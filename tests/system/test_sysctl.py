from pathlib import Path

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


def test_files_that_set_a_sysctl_when_the_machine_starts(tmp_path: Path) -> None:
    """sysctl.d(5): dots or slashes, spaces, comments, a minus for what may fail."""
    folder = tmp_path / "etc" / "sysctl.d"
    folder.mkdir(parents=True)
    texts = ("net.ipv4.tcp_tw_recycle=1", "-net/ipv4/tcp_tw_recycle = 1\n", "# net.ipv4.tcp_tw_recycle = 1", "\xff", "")
    off = "net.ipv4.tcp_tw_recycle = 0\nnet.ipv4.tcp_tw_recycle\n"
    for number, text in enumerate([*texts, off]):
        (folder / f"{number}.conf").write_bytes(text.encode("latin-1"))
    (folder / "note.txt").write_text(texts[0])
    (tmp_path / "etc" / "sysctl.conf").write_text(texts[0])
    found = sysctl.files_that_set("net.ipv4.tcp_tw_recycle", tmp_path)
    assert [file.removeprefix(f"{tmp_path}/etc/") for file in found] == [
        "sysctl.conf",
        "sysctl.d/0.conf",
        "sysctl.d/1.conf",
    ]
