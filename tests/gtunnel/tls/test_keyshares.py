"""Keys that a client makes in advance: both in a full handshake, in one that resumes that of its server only."""

import struct

import pytest
from OpenSSL import SSL

from gtunnel.tls import context, keyshares
from gtunnel.tls.context import TlsContext
from gtunnel.tls.openssl import binding
from tests.gtunnel.tls.pairs import Meeting, drain, met, presenting, read, service, write
from tests.support.certificates import Pki

# IANA's numbers.
X25519, HYBRID = 29, 4588
_KEY_SHARE, _GROUPS = 51, 10

hybrid = pytest.mark.skipif(
    not binding.set_groups(SSL.Context(SSL.TLS_METHOD), keyshares.HYBRID), reason="this OpenSSL has no hybrid"
)


def extension(hello: bytes, wanted: int) -> bytes:
    """An extension of a ClientHello in one record."""
    at = 5 + 4 + 2 + 32
    at += 1 + hello[at]
    at += 2 + int.from_bytes(hello[at : at + 2])
    at += 1 + hello[at] + 2
    while at < len(hello):
        kind, length = struct.unpack_from("!HH", hello, at)
        if kind == wanted:
            return hello[at + 4 : at + 4 + length]
        at += 4 + length
    return b""


def keys(hello: bytes) -> list[int]:
    """The groups that a hello has keys for."""
    found, data, at = [], extension(hello, _KEY_SHARE), 2
    while at < len(data):
        group, length = struct.unpack_from("!HH", data, at)
        found.append(group)
        at += 4 + length
    return found


def visit(
    client: TlsContext, server: TlsContext, before: Meeting | None = None
) -> tuple[list[int], list[int], Meeting]:
    """A connection of one byte, perhaps after another: the keys in the client's hello, what it offers, and the rest."""
    engine = client.engine() if before is None else client.engine(None, before.client.session(), before.client.group)
    engine.handshake()
    hello = drain(engine)
    peer = server.engine()
    peer.feed(hello)
    meeting = Meeting(engine, peer).shake()
    assert meeting.agreed
    write(peer, b"x")
    meeting.deliver(peer)
    assert read(engine) == b"x"
    groups = extension(hello, _GROUPS)[2:]
    return keys(hello), list(struct.unpack(f"!{len(groups) // 2}H", groups)), meeting


def clients(*lines: str) -> TlsContext:
    return context.build(service(*lines, client=True))


def servers(pki: Pki, *lines: str) -> TlsContext:
    return context.build(service(*presenting(pki.server), *lines))


@hybrid
@pytest.mark.parametrize(("curves", "group"), [("X25519:P-256", X25519), ("X25519MLKEM768:X25519", HYBRID)])
def test_who_resumes_makes_the_key_that_the_server_took(pki: Pki, curves: str, group: int) -> None:
    client, server = clients(), servers(pki, f"curves = {curves}")
    first, offered, meeting = visit(client, server)
    assert (first, offered[:2]) == ([HYBRID, X25519], [HYBRID, X25519])
    again, still_offered, meeting = visit(client, server, meeting)
    assert meeting.client.reused
    assert (again, still_offered) == ([group], offered)


@hybrid
def test_a_server_that_has_learned_the_hybrid_may_have_it(pki: Pki) -> None:
    client = clients()
    _, _, before = visit(client, servers(pki, "curves = X25519"))
    assert (before.client.group or "").lower() == "x25519"
    # Another server, which knows nothing of the session: it has no use for the key that there is.
    sent, _, meeting = visit(client, servers(pki, "curves = X25519MLKEM768"), before)
    assert sent == [X25519]
    assert meeting.client.group == keyshares.HYBRID


@hybrid
@pytest.mark.parametrize("line", ["curves = X25519MLKEM768:X25519", "config = MinProtocol:TLSv1.2"])
def test_what_the_configuration_says_stays(pki: Pki, line: str) -> None:
    client, server = clients(line), servers(pki, "curves = X25519")
    assert not client.narrows
    first, _, meeting = visit(client, server)
    again, _, meeting = visit(client, server, meeting)
    assert meeting.client.reused
    assert again == first


def test_a_group_without_a_key_narrows_nothing() -> None:
    assert keyshares.narrowed(None) is None
    assert keyshares.narrowed("secp256r1") is None


def test_a_list_that_openssl_does_not_take_changes_nothing(pki: Pki) -> None:
    client = clients().engine()
    assert not binding.set_own_groups(client._connection, "no-such-group")
    met(client, servers(pki).engine())
