"""Names to addresses."""

import socket

import pytest

from gtunnel.address import HostPort, SocketAddress, UnixPath
from gtunnel.net.errors import ResolveError
from gtunnel.net.names import ANY, LOOPBACK, Target, lookup


def test_a_literal_never_reaches_the_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "getaddrinfo")
    assert lookup(HostPort("192.0.2.1", 80), default_host=LOOPBACK) == (SocketAddress("192.0.2.1", 80),)
    assert lookup(HostPort("2001:db8::1", 80), default_host=LOOPBACK) == (SocketAddress("2001:db8::1", 80),)


@pytest.mark.parametrize("default", [LOOPBACK, ANY])
def test_an_empty_host_is_the_default(default: str) -> None:
    assert lookup(HostPort("", 80), default_host=default) == (SocketAddress(default, 80),)


def test_two_colons_are_all_of_ipv6() -> None:
    assert lookup(HostPort("::", 993), default_host=ANY) == (SocketAddress("::", 993),)


def test_a_unix_path_is_its_own_address() -> None:
    assert lookup(UnixPath("/run/x"), default_host=ANY) == (UnixPath("/run/x"),)


def test_a_name_gives_each_address_once() -> None:
    found = lookup(HostPort("localhost", 80), default_host=ANY)
    assert SocketAddress("127.0.0.1", 80) in found
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".example", "..", "x" * 300])
def test_a_name_that_is_none_is_one_kind_of_error(host: str) -> None:
    with pytest.raises(ResolveError, match="Error resolving"):
        lookup(HostPort(host, 80), default_host=ANY)


def test_a_target_is_shown_by_its_address() -> None:
    assert str(Target(SocketAddress("2001:db8::1", 80), "name.example")) == "2001:db8::1:80"
