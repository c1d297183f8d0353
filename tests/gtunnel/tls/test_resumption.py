"""Which sessions are resumed, by which services."""

import dataclasses
import os
from pathlib import Path
from time import sleep, time

import pytest
from OpenSSL.crypto import X509

from gtunnel.tls import context
from gtunnel.tls.context import TlsContext
from gtunnel.tls.engine import TlsEngine
from gtunnel.tls.errors import TlsSetupError
from gtunnel.tls.hello import ClientHello, HelloReader
from gtunnel.tls.openssl import sessions
from gtunnel.tls.resumption import MAX_WANTED, may_resume, session_context
from tests.gtunnel.tls.pairs import Meeting, drain, encoded_session, met, presenting, read, service, write
from tests.support.certificates import Pki

offers = pytest.mark.skipif(not sessions.CAN_OFFER, reason="this OpenSSL is linked statically into the bindings")
SECRETS = (f"ticketKeySecret = {'0a' * 16}", f"ticketMacSecret = {'0b' * 32}")
VERSIONS = ["TLSv1.2", "TLSv1.3"]


def decoded(session: bytes | None) -> sessions.Session | None:
    return None if session is None else sessions.decode(session)


def visit(client: TlsContext, server: TlsContext, session: bytes | None = None) -> tuple[TlsEngine, bytes]:
    """A connection of one byte; the client's engine, and what it can resume."""
    meeting = met(client.engine(session=decoded(session)), server.engine())
    write(meeting.server, b"x")
    meeting.deliver(meeting.server)
    assert read(meeting.client) == b"x"
    return meeting.client, encoded_session(meeting.client)


def clients(version: str, *lines: str) -> TlsContext:
    return context.build(service(f"sslVersion = {version}", *lines, client=True))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_ticket_is_good_for_the_service_that_gave_it(pki: Pki, version: str) -> None:
    client, server = clients(version), context.build(service(*presenting(pki.server)))
    first, session = visit(client, server)
    again, _ = visit(client, server, session)
    assert (first.reused, again.reused) == (False, True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("line", ["sessionResume = no", "sessionCacheTimeout = 0"])
def test_nothing_is_resumed_where_it_is_switched_off(pki: Pki, version: str, line: str) -> None:
    client, server = clients(version), context.build(service(*presenting(pki.server), line))
    _, session = visit(client, server)
    again, _ = visit(client, server, session)
    assert not again.reused


def test_a_session_is_no_good_where_other_things_are_demanded(pki: Pki) -> None:
    lines = (*presenting(pki.server), f"CAfile = {pki.ca}")
    demands = [(), ("verifyChain = yes",), ("verifyChain = yes", "checkHost = a"), ("requireCert = yes",)]
    found = {session_context(service(*lines, *more)) for more in demands}
    assert len(found) == len(demands)
    assert all(len(one) == 32 for one in found)


def test_nor_where_others_are_trusted(pki: Pki, tmp_path: Path) -> None:
    copy = tmp_path / "ca.pem"
    copy.write_bytes(pki.ca.read_bytes())
    lines = (*presenting(pki.server), "verifyChain = yes")
    here, there = (session_context(service(*lines, f"CAfile = {file}")) for file in (pki.ca, copy))
    assert here == there
    copy.write_bytes(pki.stranger.ca_file.read_bytes())
    assert session_context(service(*lines, f"CAfile = {copy}")) != here


def test_nor_once_a_list_names_others(pki: Pki, tmp_path: Path) -> None:
    lists = tmp_path / "lists.pem"
    lines = (*presenting(pki.server), f"CAstore = {pki.ca}", "verifyChain = yes", f"CRLfile = {lists}")
    found = []
    for revoked in ((), (pki.client.certificate,)):
        lists.write_bytes(pki.authority.revocations(*revoked))
        found.append(session_context(service(*lines)))
    assert found[0] != found[1]


def test_a_list_that_comes_into_a_directory_ends_what_was_resumed_before(pki: Pki, tmp_path: Path) -> None:
    settings = service(
        *presenting(pki.server), f"CAfile = {pki.ca}", "verifyChain = yes", f"CRLpath = {tmp_path}"
    )
    before = session_context(settings)
    (tmp_path / "0123abcd.r0").write_bytes(b"a list")
    assert session_context(settings) != before


def test_so_does_another_certificate_to_trust_in_a_directory(pki: Pki, tmp_path: Path) -> None:
    settings = service(*presenting(pki.server), "verifyChain = yes", f"CApath = {tmp_path}")
    before = session_context(settings)
    (tmp_path / "0123abcd.0").write_bytes(b"a certificate")
    assert session_context(settings) != before


def test_a_session_from_before_there_were_lists_is_no_good(pki: Pki, tmp_path: Path) -> None:
    lines = (*presenting(pki.server), f"CAfile = {pki.ca}", "verifyChain = yes")
    assert session_context(service(*lines)) != session_context(service(*lines, f"CRLpath = {tmp_path}"))


def test_a_shared_key_and_a_redirection_do_not_go_with_resumption(pki: Pki) -> None:
    lines = (*presenting(pki.server), f"CAfile = {pki.ca}", "verifyChain = yes", "redirect = 1")
    assert may_resume(service(*lines))
    assert not may_resume(service(*lines, "PSKsecrets = /secrets"))


@pytest.mark.skipif(sessions.CAN_SET_TICKET_KEYS, reason="this OpenSSL takes ticket keys")
@pytest.mark.parametrize("lines", [SECRETS, ("sessiond = 127.0.0.1:1",)])
def test_what_a_static_openssl_cannot_do_is_refused_with_what_helps(pki: Pki, lines: tuple[str, ...]) -> None:
    with pytest.raises(TlsSetupError, match="with Debian's python3-openssl gtunnel can") as caught:
        context.build(service(*presenting(pki.server), *lines))
    assert "0a0a" not in str(caught.value)


@pytest.mark.skipif(not sessions.CAN_SET_TICKET_KEYS, reason="this OpenSSL is linked statically into the bindings")
@pytest.mark.parametrize("version", VERSIONS)
def test_a_ticket_is_good_on_another_machine_with_the_same_secrets(pki: Pki, version: str) -> None:
    client = clients(version)
    one, two, other = (
        context.build(service(*presenting(pki.server), *lines)) for lines in (SECRETS, SECRETS, ())
    )
    _, session = visit(client, one)
    assert visit(client, two, session)[0].reused
    assert not visit(client, other, session)[0].reused


@pytest.mark.skipif(not sessions.CAN_KEEP_END, reason="this OpenSSL is linked statically into the bindings")
def test_a_session_that_is_renewed_ends_when_it_would_have(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    client, server = clients("TLSv1.3"), context.build(service(*presenting(pki.server)))
    _, session = visit(client, server)
    again, renewed = visit(client, server, session)
    with monkeypatch.context() as patch:
        patch.setattr(sessions, "time", lambda: time() + 298)
        last, ending = visit(client, server, renewed)
        patch.setattr(sessions, "time", lambda: time() + 1000)
        ended, nothing_new = visit(client, server, renewed)
    sleep(3.1)
    too_late, _ = visit(client, server, ending)
    assert [one.reused for one in (again, last, ended, too_late)] == [True, True, True, False]
    assert nothing_new == renewed


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_tells_that_its_certificate_has_expired(
    pki: Pki, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (*presenting(pki.server), f"CAfile = {pki.ca}", "verifyChain = yes")
    client, server = clients(version, *presenting(pki.client)), context.build(service(*lines))
    _, session = visit(client, server)
    resumed, full = (met(client.engine(session=decoded(one)), server.engine()).server for one in (session, None))
    assert (resumed.reused, resumed.outlived) == (True, False)
    monkeypatch.setattr(X509, "has_expired", lambda _: True)
    assert (resumed.outlived, full.outlived) == (True, False)


def hello_with(client: TlsContext, session: bytes | None = None) -> ClientHello:
    """What a client says first that offers a session."""
    reader = HelloReader()
    engine = client.engine(session=decoded(session))
    engine.handshake()
    reader.feed(drain(engine))
    hello = reader.hello()
    assert hello is not None
    return hello


def name_of(session: bytes, client: TlsContext, server: TlsContext) -> tuple[bytes, ...]:
    """The ids that a server would look up for a client that offers a session."""
    return server.sessions.wanted(hello_with(client, session))


def test_who_names_many_sessions_is_asked_about_few(pki: Pki) -> None:
    server = context.build(service(*presenting(pki.server), "options = NO_TICKET"))
    names = tuple(os.urandom(sessions.MAX_SESSION_ID) for _ in range(1000))
    hello = dataclasses.replace(hello_with(clients("TLSv1.3")), identities=names)
    assert server.sessions.wanted(hello) == names[:MAX_WANTED]


@offers
@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_by_its_id_goes_from_one_process_to_another(pki: Pki, version: str) -> None:
    client = clients(version)
    one, two = (context.build(service(*presenting(pki.server), "options = NO_TICKET")) for _ in range(2))
    reader = HelloReader()
    engine, peer = client.engine(), one.engine()
    engine.handshake()
    flight = drain(engine)
    reader.feed(flight)
    peer.feed(flight)
    meeting = Meeting(engine, peer).shake()
    assert meeting.agreed
    hello = reader.hello()
    assert hello is not None
    kept = one.sessions.to_keep(peer, hello)
    assert kept is not None
    write(peer, b"x")
    meeting.deliver(peer)
    assert read(engine) == b"x"
    session = encoded_session(engine)
    assert kept[0] in name_of(session, client, two)
    assert not visit(client, two, session)[0].reused
    offered = two.sessions.offer(kept[1])
    assert offered is not None
    assert visit(client, two, session)[0].reused
    offered = two.sessions.offer(kept[1])
    assert offered is not None
    two.sessions.withdraw(offered)
    assert not visit(client, two, session)[0].reused


def test_who_has_a_ticket_needs_no_id(pki: Pki) -> None:
    server = context.build(service(*presenting(pki.server)))
    for version in VERSIONS:
        client = clients(version)
        _, session = visit(client, server)
        assert name_of(session, client, server) == ()
