"""A connection's handshake, and who hears of what follows it."""

import pytest
from OpenSSL import SSL

from gtunnel.tls import context
from gtunnel.tls.openssl import handshakes
from tests.gtunnel.tls.pairs import Meeting, client, met, presenting, server, service
from tests.support.certificates import Pki

Heard = list[tuple[SSL.Connection, int]]


def test_a_handshake_needs_input_until_it_is_finished(pki: Pki) -> None:
    meeting = Meeting(client(), server(*presenting(pki.server)))
    assert not handshakes.proceed(meeting.client._connection)
    assert not handshakes.proceed(meeting.server._connection)
    meeting.shake()
    assert meeting.agreed
    assert handshakes.proceed(meeting.client._connection)


def test_what_is_wrong_is_in_the_error(pki: Pki) -> None:
    engine = server(*presenting(pki.server))
    engine.feed(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(SSL.Error) as caught:
        handshakes.proceed(engine._connection)
    assert caught.value.args[0][0][2] == "http request"
    # Nothing of it is left for the next one.
    assert not handshakes.proceed(server(*presenting(pki.server))._connection)


def listening(pki: Pki, version: str) -> tuple[Meeting, Heard]:
    """Two sides that have met, and what was heard of the server's since."""
    heard: Heard = []
    made = context.build(
        service(*presenting(pki.server), f"sslVersion = {version}", "options = ALLOW_CLIENT_RENEGOTIATION")
    )
    handshakes.watch_later(made.context, lambda connection, where: heard.append((connection, where)))
    return met(client(f"sslVersion = {version}"), made.engine()), heard


def test_what_follows_the_first_handshake_is_told_and_not_that_itself(pki: Pki) -> None:
    meeting, heard = listening(pki, "TLSv1.2")
    assert heard == []
    meeting.client._connection.renegotiate()
    handshakes.proceed(meeting.client._connection)
    meeting.deliver(meeting.client)
    meeting.server.read_into(memoryview(bytearray(100)))
    assert {connection for connection, _ in heard} == {meeting.server._connection}
    assert any(where & SSL.SSL_CB_HANDSHAKE_START for _, where in heard)


def test_in_tls_1_3_nothing_follows(pki: Pki) -> None:
    meeting, heard = listening(pki, "TLSv1.3")
    meeting.deliver(meeting.server)
    meeting.client.read_into(memoryview(bytearray(100)))
    assert heard == []
