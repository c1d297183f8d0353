"""The verification callback has a say in what stays of an error."""

import pytest
from OpenSSL import SSL
from OpenSSL.crypto import X509

from gtunnel.tls.engine import TlsEngine
from gtunnel.tls.openssl.verify import OK, set_verify, verify_result
from tests.gtunnel.tls.pairs import Meeting, client, met, presenting, read, server
from tests.support.certificates import Identity, Pki, Wish

Seen = list[tuple[int, int]]


def meet(pki: Pki, answer: tuple[bool, int], visitor: Identity) -> tuple[Meeting, SSL.Connection, Seen]:
    """A server that decides this of whatever certificate, and whom it met."""
    seen: Seen = []

    def decide(_: SSL.Connection, __: X509, error: int, depth: int) -> tuple[bool, int]:
        seen.append((error, depth))
        return answer

    context = SSL.Context(SSL.TLS_METHOD)
    context.use_certificate_chain_file(str(pki.server.cert))
    context.use_privatekey_file(str(pki.server.key))
    set_verify(context, SSL.VERIFY_PEER, decide)
    engine = TlsEngine(context, None)
    return Meeting(client(*presenting(visitor)), engine).shake(), engine._connection, seen


def test_an_error_that_is_let_pass_stays(pki: Pki) -> None:
    meeting, connection, seen = meet(pki, (True, 50), pki.client)
    assert meeting.agreed
    assert verify_result(connection) == 50
    # OpenSSL's own errors are shown: nothing is trusted here.
    assert any(error for error, _ in seen)


def test_an_error_that_is_forgiven_does_not_stay(pki: Pki) -> None:
    meeting, connection, _ = meet(pki, (True, OK), pki.client)
    assert meeting.agreed
    assert verify_result(connection) == OK


def test_who_is_refused_is_refused(pki: Pki) -> None:
    meeting, _, _ = meet(pki, (False, 50), pki.client)
    assert "certificate verify failed" in meeting.error(meeting.server)


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize("cut", [1, 65536])
def test_a_forged_signature_that_is_let_pass_harms_no_connection(pki: Pki, version: str, cut: int) -> None:
    forged = pki.authority.issue(Wish(name="alice", client=True), pki.stranger)
    lines = (*presenting(pki.server), "requireCert = yes", f"CAfile = {pki.ca}", f"sslVersion = {version}")
    bystander = met(client(), server(*presenting(pki.server)))
    meeting = met(client(*presenting(forged)), server(*lines), cut)
    # Both have nothing to read, and have to wait: that is no failure.
    for engine in (bystander.server, meeting.server):
        assert read(engine) == b""
        assert not engine.ended
