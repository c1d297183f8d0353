"""OpenSSL's callbacks for pre-shared keys."""

import pytest
from OpenSSL import SSL

from gtunnel.tls.engine import Request, TlsEngine
from gtunnel.tls.openssl import psk
from tests.gtunnel.tls.pairs import Meeting

KEY = bytes(range(16))


def meet(identity: bytes, secret: bytes, found: bytes | None) -> tuple[Meeting, list[bytes]]:
    asked: list[bytes] = []

    def find(_: SSL.Connection, name: bytes) -> bytes | None:
        asked.append(name)
        return found

    client, server = SSL.Context(SSL.TLS_METHOD), SSL.Context(SSL.TLS_METHOD)
    psk.set_client_key(client, lambda _: (identity, secret))
    psk.set_server_keys(server, find)
    return Meeting(TlsEngine(client, Request()), TlsEngine(server, None)).shake(), asked


def test_the_server_is_asked_for_the_client_s_key() -> None:
    meeting, asked = meet(b"me", KEY, KEY)
    assert meeting.agreed
    assert b"me" in asked


@pytest.mark.parametrize(
    ("identity", "secret", "found"),
    [(b"me", KEY, None), (b"me", KEY, KEY[::-1]), (b"i" * 5000, KEY, KEY), (b"me", bytes(5000), KEY)],
)
def test_what_does_not_fit_fails_the_handshake(identity: bytes, secret: bytes, found: bytes | None) -> None:
    meeting, _ = meet(identity, secret, found)
    assert not meeting.agreed
