"""Sessions as bytes, and in a server's hands."""

import pytest
from OpenSSL import SSL

from gtunnel.tls.openssl import sessions
from tests.gtunnel.tls.pairs import client, met, presenting, server
from tests.support.certificates import Pki

offers = pytest.mark.skipif(not sessions.CAN_OFFER, reason="this OpenSSL is linked statically into the bindings")


def session_of(pki: Pki, *lines: str) -> SSL.Session:
    meeting = met(client("sslVersion = TLSv1.2"), server(*presenting(pki.server), *lines))
    session = meeting.server._connection.get_session()
    assert session is not None
    return session


def test_a_session_becomes_bytes_and_a_session_again(pki: Pki) -> None:
    session = session_of(pki)
    again = sessions.decode(sessions.encode(session))
    assert again is not None
    assert sessions.encode(again) == sessions.encode(session)


def test_a_connection_has_another_session_than_before_or_not(pki: Pki) -> None:
    meeting = met(client("sslVersion = TLSv1.2"), server(*presenting(pki.server)))
    connection = meeting.client._connection
    session, other = connection.get_session(), session_of(pki)
    assert not sessions.has_another(connection, session)
    assert sessions.has_another(connection, other)
    assert sessions.has_another(connection, None)
    assert not sessions.has_another(SSL.Connection(SSL.Context(SSL.TLS_METHOD), None), None)


@pytest.mark.parametrize("data", [b"", b"\x30", b"\x30\x03\x02\x01\x01", bytes(100)])
def test_what_is_no_session_is_none_and_leaves_no_error(data: bytes) -> None:
    assert sessions.decode(data) is None
    with pytest.raises(SSL.Error) as caught:
        SSL.Context(SSL.TLS_METHOD).set_cipher_list(b"NO-SUCH")
    assert [entry[2] for entry in caught.value.args[0]] == ["no cipher match"]


@offers
def test_a_session_without_a_ticket_has_an_id(pki: Pki) -> None:
    assert len(sessions.session_id(session_of(pki, "options = NO_TICKET"))) == sessions.MAX_SESSION_ID
    assert sessions.session_id(session_of(pki)) == b""


@pytest.mark.skipif(sessions.CAN_SET_TICKET_KEYS, reason="this OpenSSL takes ticket keys")
def test_ticket_keys_that_cannot_be_set_are_not() -> None:
    assert not sessions.set_ticket_keys(SSL.Context(SSL.TLS_METHOD), bytes(16), bytes(32), bytes(32))


@pytest.mark.skipif(not sessions.CAN_SET_TICKET_KEYS, reason="this OpenSSL is linked statically into the bindings")
def test_ticket_keys_have_their_lengths() -> None:
    context = SSL.Context(SSL.TLS_METHOD)
    assert sessions.set_ticket_keys(context, bytes(16), bytes(32), bytes(32))
    assert not sessions.set_ticket_keys(context, bytes(16), bytes(32), bytes(31))
