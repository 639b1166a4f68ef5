import contextlib
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timewait.endpoint import Endpoint, parse
from timewait.errors import UsageError


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("192.0.2.7", ("192.0.2.7", 0)),
        ("192.0.2.7:443", ("192.0.2.7", 443)),
        ("2001:db8::7", ("2001:db8::7", 0)),
        ("[2001:DB8:0::7]:443", ("2001:db8::7", 443)),
        ("::ffff:192.0.2.7", ("192.0.2.7", 0)),
    ],
)
def test_an_address_with_or_without_a_port_is_read(text: str, endpoint: tuple[str, int]) -> None:
    assert parse(text) == endpoint


@pytest.mark.parametrize(
    "text", ["", "nowhere", "192.0.2.7:", "192.0.2.7:0", "192.0.2.7:65536", "[::1", "[::1]x", "1:2:3", "127.0.0.1:٣"]
)
def test_what_is_no_endpoint_says_so(text: str) -> None:
    with pytest.raises(UsageError):
        parse(text)


@given(st.text(max_size=50))
def test_no_text_raises_anything_but_a_usage_error(text: str) -> None:
    with contextlib.suppress(UsageError):
        parse(text)


@given(st.ip_addresses(), st.integers(1, 65535))
def test_what_is_written_is_read_back(address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> None:
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return
    endpoint = Endpoint(str(address), port)
    assert parse(str(endpoint)) == endpoint
