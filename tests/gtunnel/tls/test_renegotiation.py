"""Peers that negotiate anew: how often they may, as whom, and that nothing of it is skipped."""

import contextlib

import pytest
from OpenSSL import SSL

from gtunnel.tls import context, renegotiation
from gtunnel.tls.engine import TlsEngine
from gtunnel.tls.errors import RenegotiationError, TlsStreamError
from tests.gtunnel.tls.pairs import Meeting, client, met, presenting, read, server, service, verdicts, write
from tests.support.certificates import Identity, Pki, Wish

OLD = "sslVersion = TLSv1.2"
ALLOWED = "options = ALLOW_CLIENT_RENEGOTIATION"


def serving(pki: Pki, *lines: str) -> TlsEngine:
    return server(*presenting(pki.server), OLD, *lines)


def renegotiate(meeting: Meeting, asking: TlsEngine) -> None:
    """One side asks, and bytes go to and fro until nothing more comes. Raises what the engines raise."""
    asking._connection.renegotiate()
    with contextlib.suppress(SSL.WantReadError):
        asking._connection.do_handshake()
    for _ in range(4):
        for one, other in meeting.ways():
            meeting.deliver(one)
            read(other)


def exchange(meeting: Meeting) -> None:
    for one, other in meeting.ways():
        write(one, b"data")
        meeting.deliver(one)
        assert read(other) == b"data"


def test_a_client_may_where_openssl_was_told_so(pki: Pki) -> None:
    meeting = met(client(OLD), serving(pki, ALLOWED))
    for _ in range(renegotiation.MAX_RENEGOTIATIONS):
        renegotiate(meeting, meeting.client)
        exchange(meeting)


def test_a_client_may_not_otherwise_and_the_server_is_not_harmed(pki: Pki) -> None:
    meeting = met(client(OLD), serving(pki))
    # A peer of OpenSSL's gives up when it is told no, as with stunnel.
    with pytest.raises(TlsStreamError, match="no renegotiation"):
        renegotiate(meeting, meeting.client)


def test_a_server_may(pki: Pki) -> None:
    meeting = met(client(OLD), serving(pki))
    renegotiate(meeting, meeting.server)
    exchange(meeting)


@pytest.mark.parametrize("side", ["client", "server"])
def test_none_is_taken_where_it_is_forbidden(pki: Pki, side: str) -> None:
    ours, theirs = (["renegotiation = no"], []) if side == "server" else ([], ["renegotiation = no"])
    meeting = met(client(OLD, *ours), serving(pki, ALLOWED, *theirs))
    exchange(meeting)
    asking = meeting.server if side == "server" else meeting.client
    with pytest.raises(RenegotiationError, match=r"^Aborting due to renegotiation request$"):
        renegotiate(meeting, asking)


def test_what_came_before_a_refused_one_is_read_and_nothing_else(pki: Pki) -> None:
    meeting = met(client(OLD), serving(pki, "renegotiation = no"))
    for _ in range(2):
        write(meeting.client, b"good")
    meeting.client._connection.renegotiate()
    with contextlib.suppress(SSL.WantReadError):
        meeting.client._connection.do_handshake()
    meeting.deliver(meeting.client)
    buffer = memoryview(bytearray(100))
    assert meeting.server.read_into(buffer) == 8
    assert bytes(buffer[:8]) == b"goodgood"
    assert meeting.server.more
    with pytest.raises(RenegotiationError):
        meeting.server.read_into(buffer)


@pytest.mark.parametrize("side", ["client", "server"])
def test_a_flood_is_stopped(pki: Pki, side: str) -> None:
    meeting = met(client(OLD), serving(pki, ALLOWED))
    asking = meeting.client if side == "client" else meeting.server

    def flood() -> None:
        for _ in range(renegotiation.MAX_RENEGOTIATIONS + 1):
            renegotiate(meeting, asking)

    with pytest.raises(RenegotiationError, match="more than 5 in 60 seconds"):
        flood()


def test_old_ones_are_forgotten(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(renegotiation, "monotonic", lambda: now)
    meeting = met(client(OLD), serving(pki, ALLOWED))
    for _ in range(3 * renegotiation.MAX_RENEGOTIATIONS):
        renegotiate(meeting, meeting.client)
        now += renegotiation.WITHIN_SECONDS / 4


def test_tickets_and_key_updates_of_tls_1_3_are_none(pki: Pki) -> None:
    meeting = met(client("renegotiation = no"), server(*presenting(pki.server), "renegotiation = no"))
    for one, other in (*meeting.ways(), *meeting.ways()):
        meeting.deliver(one)
        read(other)
    exchange(meeting)


def presenting_another(engine: TlsEngine, identity: Identity) -> None:
    """Make a client present another certificate from now on."""
    other = context.build(service(*presenting(identity), OLD, client=True)).context
    engine._connection.set_context(other)


def demanding(pki: Pki) -> TlsEngine:
    return serving(pki, ALLOWED, "verifyChain = yes", f"CAfile = {pki.ca}")


def test_the_same_certificate_is_verified_again_and_nothing_piles_up(pki: Pki) -> None:
    meeting = met(client(OLD, *presenting(pki.client)), demanding(pki))
    assert any("Certificate accepted at depth=0" in line for line in verdicts(meeting.server))
    renegotiate(meeting, meeting.client)
    exchange(meeting)
    assert verdicts(meeting.server) == []


def test_another_certificate_is_refused_although_it_is_trusted(pki: Pki) -> None:
    meeting = met(client(OLD, *presenting(pki.client)), demanding(pki))
    presenting_another(meeting.client, pki.authority.issue(Wish(name="bob", client=True)))
    with pytest.raises(RenegotiationError, match="another certificate"):
        renegotiate(meeting, meeting.client)


def test_a_certificate_that_is_not_trusted_is_refused(pki: Pki) -> None:
    meeting = met(client(OLD, *presenting(pki.client)), demanding(pki))
    presenting_another(meeting.client, pki.stranger_client)
    with pytest.raises(TlsStreamError, match="certificate verify failed"):
        renegotiate(meeting, meeting.client)
