import socket
import threading
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtunnel.address import (
    MAX_PORT,
    MAX_UNIX_PATH,
    HostPort,
    SocketAddress,
    UnixPath,
    from_sockaddr,
    numeric,
    parse_endpoint,
    parse_http_url,
    parse_port,
)
from gtunnel.errors import AddressError

PORTS = st.integers(0, MAX_PORT)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("80", "", 80),
        (":80", "", 80),
        ("0", "", 0),
        ("host:80", "host", 80),
        ("192.0.2.1:80", "192.0.2.1", 80),
        ("::1:80", "::1", 80),
        (":::993", "::", 993),
        ("[::1]:80", "::1", 80),
        ("[::]:80", "::", 80),
        ("fe80::1%lo:80", "fe80::1%lo", 80),
        ("smtp", "", 25),
        ("host:smtp", "host", 25),
        ("00080", "", 80),
    ],
)
def test_a_port_may_have_a_host_before_the_last_colon(text: str, host: str, port: int) -> None:
    assert parse_endpoint(text) == HostPort(host, port)


def test_a_path_is_a_unix_socket() -> None:
    assert parse_endpoint("/run/a:b c") == UnixPath("/run/a:b c")
    assert str(parse_endpoint("/run/s")) == "/run/s"


@pytest.mark.parametrize(
    "text",
    ["", "host:", "host", "65536", "-1", "1.5", "host:99999", "a b:80", "a\tb:80", "a\0b:80", "host: 80", "80 ", "٨٠"],
)
def test_other_texts_are_no_address(text: str) -> None:
    with pytest.raises(AddressError):
        parse_endpoint(text)


def test_the_kernel_takes_the_longest_path_and_no_longer_one() -> None:
    longest = "/" + "x" * (MAX_UNIX_PATH - 1)
    assert parse_endpoint(longest) == UnixPath(longest)
    # Bytes count, not letters.
    for text in (longest + "x", "/" + "é" * (MAX_UNIX_PATH // 2) + "é"):
        with pytest.raises(AddressError, match="107 bytes"):
            parse_endpoint(text)


def test_an_error_shows_the_whole_text() -> None:
    with pytest.raises(AddressError, match="'host:x' is not an address: 'x' is neither"):
        parse_endpoint("host:x")
    with pytest.raises(AddressError, match="'shown'"):
        parse_port("99999", "shown")


@given(st.text(st.characters(codec="utf-8")))
def test_any_text_is_an_address_or_one_error(text: str) -> None:
    with suppress(AddressError):
        parse_endpoint(text)


@given(st.ip_addresses(), PORTS)
def test_what_is_written_is_read_again(host: object, port: int) -> None:
    assert str(parse_endpoint(f"{host}:{port}")) == f"{host}:{port}"


@given(st.ip_addresses(v=4), PORTS)
def test_a_literal_is_numeric_at_once(host: object, port: int) -> None:
    assert HostPort(str(host), port).literal == SocketAddress(str(host), port)


def test_names_and_nothing_are_not_numeric() -> None:
    assert HostPort("localhost", 80).literal is None
    assert HostPort("", 80).literal is None
    assert numeric("1.2.3", 80) is None
    assert numeric("::1%nosuch0", 80) is None


def test_an_ipv6_zone_is_a_number_or_an_interface() -> None:
    lo = socket.if_nametoindex("lo")
    assert numeric("fe80::1%lo", 80) == numeric(f"fe80::1%{lo}", 80) == SocketAddress("fe80::1", 80, lo)


def test_a_socket_address_is_what_sockets_take() -> None:
    assert SocketAddress("192.0.2.1", 80).sockaddr == ("192.0.2.1", 80)
    assert SocketAddress("::1", 80, 3).sockaddr == ("::1", 80, 0, 3)
    assert SocketAddress("192.0.2.1", 80).family is socket.AF_INET
    assert SocketAddress("::1", 80).family is socket.AF_INET6
    assert SocketAddress("fe80::1", 80, 3).with_port(0) == SocketAddress("fe80::1", 0, 3)
    assert str(SocketAddress("::1", 80)) == "::1:80"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_what_a_real_socket_says_is_understood(host: str) -> None:
    address = numeric(host, 0)
    assert address is not None
    with socket.socket(address.family) as real:
        real.bind(address.sockaddr)
        name = from_sockaddr(real.getsockname())
    assert name is not None
    assert name == SocketAddress(host, name.port)
    assert name.port > 0


def test_an_ipv4_client_of_an_ipv6_listener_is_an_ipv4_client() -> None:
    assert from_sockaddr(("::ffff:192.0.2.1", 80, 0, 0)) == SocketAddress("192.0.2.1", 80)
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        client = threading.Thread(
            target=lambda: socket.create_connection(("127.0.0.1", listener.getsockname()[1])).close()
        )
        client.start()
        accepted, peer = listener.accept()
        client.join()
        accepted.close()
    address = from_sockaddr(peer)
    assert address is not None
    assert address.host == "127.0.0.1"


def test_a_scope_is_kept() -> None:
    assert from_sockaddr(("fe80::1%lo", 80, 0, 1)) == SocketAddress("fe80::1", 80, 1)


@pytest.mark.parametrize("sockaddr", ["", "/run/s", b"\0abstract", None, (), ("x",)])
def test_a_unix_socket_has_no_address(sockaddr: object) -> None:
    assert from_sockaddr(sockaddr) is None


@pytest.mark.parametrize(
    ("text", "host", "port", "target"),
    [
        ("http://a.example", "a.example", 80, "/"),
        ("http://a.example:8080/b/c?d=e", "a.example", 8080, "/b/c?d=e"),
        ("http://[::1]:81/", "::1", 81, "/"),
        ("HTTP://A.example/B", "a.example", 80, "/B"),
    ],
)
def test_a_url_is_read(text: str, host: str, port: int, target: str) -> None:
    url = parse_http_url(text)
    assert (url.endpoint, url.target, str(url)) == (HostPort(host, port), target, text)


@pytest.mark.parametrize(
    "text", ["", "a", "https://a/", "ftp://a/", "http://", "http:///b", "http://a:0/", "http://a:b/", "http://u:p@a/"]
)
def test_what_is_no_http_url_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        parse_http_url(text)


@given(st.text() | st.text("htp:/[]@?#.a1", max_size=20).map("http://{}".format))
def test_any_text_is_a_url_or_refused(text: str) -> None:
    with suppress(AddressError):
        url = parse_http_url(text)
        assert url.endpoint.host
        assert "\n" not in url.target + url.authority


@pytest.mark.parametrize("zone", ["4294967296", "9" * 200, "no-such-interface", "a\0b", "\u00b2", "-1"])
def test_a_zone_that_is_none_makes_no_address(zone: str) -> None:
    assert numeric(f"fe80::1%{zone}", 80) is None
