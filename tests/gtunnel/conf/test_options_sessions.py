"""What a service says about resumption."""

import pytest

from gtunnel.conf.settings import SessionServerKind, TicketSecrets
from tests.gtunnel.conf.samples import SERVER, reasons, server

KEY, MAC = "0123456789abcdef" * 2, "fedcba9876543210" * 4


def test_sessions_are_resumed_by_default() -> None:
    sessions = server().sessions
    assert (sessions.resume, sessions.size, sessions.seconds) == (True, 1000, 300.0)
    assert sessions.server is None
    assert sessions.ticket_secrets is None


@pytest.mark.parametrize("line", ["sessionCacheTimeout = 60", "session = 60"])
def test_a_session_s_time_has_two_names(line: str) -> None:
    assert server(line).sessions.seconds == 60.0


def test_ticket_secrets_are_hexadecimal_with_or_without_colons() -> None:
    lines = (f"ticketKeySecret = {KEY[:2]}:{KEY[2:]}", f"ticketMacSecret = {MAC.upper()}")
    secrets = server(*lines).sessions.ticket_secrets
    assert secrets == TicketSecrets(bytes.fromhex(KEY), bytes.fromhex(MAC))
    assert KEY not in repr(secrets)


@pytest.mark.parametrize("value", ["", "xy", KEY[:-1], KEY + ":", KEY[:-2], KEY + "0000", "0x" + KEY])
def test_what_is_no_secret_is_refused_without_showing_it(value: str) -> None:
    (reason,) = reasons(SERVER + f"ticketKeySecret = {value}")
    assert reason.startswith('t.conf:5: "ticketKeySecret = ')
    assert "needed" in reason or "instead of the required 16 or 32 bytes" in reason
    assert not value or value not in reason


def test_a_session_server_speaks_stunnel_s_protocol() -> None:
    found = server("sessiond = cache.example.org:4433").sessions.server
    assert found is not None
    assert (found.kind, found.host, found.port) == (SessionServerKind.SESSIOND, "cache.example.org", 4433)


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("redis://cache.example.org", "cache.example.org", 6379),
        ("redis://:hunter2@[2001:db8::1]:7000/3", "2001:db8::1", 7000),
        ("rediss://user:hunter2@192.0.2.1:1", "192.0.2.1", 1),
    ],
)
def test_or_it_is_a_redis_server(url: str, host: str, port: int) -> None:
    found = server(f"sessiond = {url}").sessions.server
    assert found is not None
    assert (found.kind, found.host, found.port, found.url) == (SessionServerKind.REDIS, host, port, url)
    assert "hunter2" not in f"{found} {found!r}"


@pytest.mark.parametrize(
    "value",
    [
        *("4433", "host:0", "host:99999", "redis://", "redis://:hunter2@", "redis://host/hunter2", "http://hunter2:1"),
        "/run/s",
    ],
)
def test_what_is_no_session_server_is_refused_without_showing_it(value: str) -> None:
    (reason,) = reasons(SERVER + f"sessiond = {value}")
    assert "is needed" in reason
    assert "hunter2" not in reason
