"""TLS as a machine: what goes in comes out, in any portions; every end and every failure has its own error."""

import contextlib
import random
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtunnel.tls import context
from gtunnel.tls.engine import TlsEngine
from gtunnel.tls.errors import HandshakeError, TlsStreamError, TlsTruncatedError
from tests.gtunnel.tls.pairs import (
    BUFFER,
    Meeting,
    chunks,
    client,
    drain,
    met,
    presenting,
    read,
    server,
    service,
    write,
)
from tests.support.certificates import Identity, Pki
from tests.support.tls import client_context, server_context

CLOSE_NOTIFY_RECORD = 0x15


@pytest.fixture(params=["TLSv1.2", "TLSv1.3"])
def version(request: pytest.FixtureRequest) -> str:
    """The test runs with each version."""
    return str(request.param)


@pytest.fixture
def pair(pki: Pki, version: str) -> Meeting:
    """Client and server after their handshake."""
    return met(client(f"sslVersion = {version}"), server(*presenting(pki.server)))


@pytest.mark.parametrize("cut", [1, 7, 65536])
def test_a_handshake_in_any_portions(pki: Pki, version: str, cut: int) -> None:
    meeting = met(client(f"sslVersion = {version}"), server(*presenting(pki.server)), cut)
    assert meeting.client.negotiated().version == meeting.server.negotiated().version == version


def test_what_was_negotiated(pair: Meeting, version: str) -> None:
    seen = pair.client.negotiated()
    assert seen == pair.server.negotiated().__class__(
        version=version,
        cipher={"TLSv1.2": "ECDHE-ECDSA-AES256-GCM-SHA384", "TLSv1.3": "TLS_AES_256_GCM_SHA384"}[version],
        bits=256,
        reused=False,
        group=seen.group,
        peer_subject="CN=localhost",
    )
    assert pair.server.negotiated().peer_subject is None


@pytest.mark.parametrize("cut", [1, 100, 65536])
def test_data_goes_both_ways_in_any_portions(pair: Meeting, cut: int) -> None:
    pair.cut = cut
    sent = {engine: random.Random(seed).randbytes(20_000) for seed, (engine, _) in enumerate(pair.ways())}
    for one, other in pair.ways():
        write(one, sent[one])
        pair.deliver(one)
        assert read(other, cut) == sent[one]
        assert not other.ended


def test_a_record_byte_by_byte_is_read_when_it_is_whole(pair: Meeting) -> None:
    write(pair.client, b"hello")
    record = drain(pair.client)
    for byte in record[:-1]:
        pair.server.feed(bytes([byte]))
        assert read(pair.server) == b""
    pair.server.feed(record[-1:])
    assert read(pair.server) == b"hello"


def test_one_write_takes_everything_and_all_of_it_arrives(pair: Meeting) -> None:
    data = memoryview(bytes(range(256)) * 4096 * 4)
    assert pair.client.write(data) == len(data)
    pair.deliver(pair.client)
    assert read(pair.server) == data


def test_output_comes_in_bounded_chunks(pair: Meeting) -> None:
    write(pair.client, bytes(1_000_000))
    assert pair.client.has_output()
    taken = [len(chunk) for chunk in chunks(pair.client, 50_000)]
    assert taken[:-1] == [50_000] * (len(taken) - 1)
    assert sum(taken) > 1_000_000
    assert not pair.client.has_output()


def test_data_that_came_with_the_last_handshake_message_is_not_lost(pki: Pki, version: str) -> None:
    ours, theirs = client(f"sslVersion = {version}"), server(*presenting(pki.server))
    while not ours.handshake():
        theirs.feed(drain(ours))
        with contextlib.suppress(HandshakeError):
            theirs.handshake()
        ours.feed(drain(theirs))
    write(ours, b"at once")
    theirs.feed(drain(ours))
    assert theirs.handshake()
    assert read(theirs) == b"at once"


def test_each_direction_closes_by_itself(pair: Meeting) -> None:
    write(pair.client, b"question")
    pair.client.close()
    pair.deliver(pair.client)
    assert read(pair.server) == b"question"
    assert pair.server.ended
    write(pair.server, b"answer")
    pair.server.close()
    pair.deliver(pair.server)
    assert not pair.client.ended
    assert read(pair.client) == b"answer"
    assert pair.client.ended


def test_the_end_stays_the_end(pair: Meeting) -> None:
    pair.server.close()
    pair.deliver(pair.server)
    pair.client.feed_eof()
    for _ in range(3):
        assert read(pair.client) == b""
        assert pair.client.ended


def test_bytes_after_close_notify_are_not_read(pair: Meeting) -> None:
    pair.server.close()
    pair.deliver(pair.server)
    pair.client.feed(b"GET / HTTP/1.0\r\n\r\n")
    assert read(pair.client) == b""
    assert pair.client.ended


def test_closing_twice_sends_one_close_notify(pair: Meeting) -> None:
    pair.client.close()
    assert drain(pair.client)
    pair.client.close()
    assert drain(pair.client) == b""


def test_writing_after_close_is_an_error(pair: Meeting) -> None:
    pair.client.close()
    with pytest.raises(TlsStreamError, match="SSL_write: SSL routines::protocol is shutdown"):
        pair.client.write(memoryview(b"too late"))


def test_closing_before_the_handshake_is_done_is_an_error_of_ours(pki: Pki) -> None:
    with pytest.raises(TlsStreamError, match="SSL_shutdown: SSL routines::"):
        server(*presenting(pki.server)).close()


def test_a_stream_that_ends_without_close_notify_is_truncated_after_all_that_came(pair: Meeting) -> None:
    write(pair.client, b"some of it")
    pair.deliver(pair.client)
    pair.server.feed_eof()
    buffer = memoryview(bytearray(100))
    assert pair.server.read_into(buffer) == 10
    for _ in range(2):
        with pytest.raises(TlsTruncatedError, match="SSL routines::unexpected eof while reading"):
            pair.server.read_into(buffer)
    assert not pair.server.ended


def test_a_record_cut_in_the_middle_is_truncated(pair: Meeting) -> None:
    write(pair.client, b"some of it")
    pair.server.feed(drain(pair.client)[:-1])
    pair.server.feed_eof()
    with pytest.raises(TlsTruncatedError):
        read(pair.server)


def test_a_missing_close_notify_can_be_ignored(pki: Pki, version: str) -> None:
    lenient = server(*presenting(pki.server), "options = IGNORE_UNEXPECTED_EOF")
    pair = met(client(f"sslVersion = {version}"), lenient)
    pair.server.feed_eof()
    assert read(pair.server) == b""
    assert pair.server.ended


@pytest.mark.parametrize("client_side", [True, False])
def test_a_stream_that_ends_in_the_handshake(pki: Pki, *, client_side: bool) -> None:
    engine = client() if client_side else server(*presenting(pki.server))
    assert engine.handshake() is False
    engine.feed_eof()
    name = "SSL_connect" if client_side else "SSL_accept"
    with pytest.raises(HandshakeError, match=f"^{name}: SSL routines::unexpected eof while reading$"):
        engine.handshake()


@pytest.mark.parametrize(
    ("garbage", "reason"),
    [
        (b"GET / HTTP/1.0\r\n\r\n", "http request"),
        (b"CONNECT x:1 HTTP/1.0\r\n\r\n", "https proxy request"),
        (b"\x00" * 100, "wrong version number"),
        (b"EHLO example.org\r\n", "wrong version number"),
    ],
)
def test_what_is_no_tls_is_named_by_openssl(pki: Pki, garbage: bytes, reason: str) -> None:
    engine = server(*presenting(pki.server))
    engine.feed(garbage)
    with pytest.raises(HandshakeError) as caught:
        engine.handshake()
    assert str(caught.value) == f"SSL_accept: SSL routines::{reason}"


def test_a_changed_byte_breaks_the_stream_and_the_peer_is_told(pair: Meeting) -> None:
    write(pair.client, b"transfer 100 to bob")
    record = bytearray(drain(pair.client))
    record[-1] ^= 1
    pair.server.feed(bytes(record))
    # Newer OpenSSL names the cipher in TLS 1.2.
    reason = "SSL routines::decryption failed or bad record mac|Provider routines::cipher operation failed"
    with pytest.raises(TlsStreamError, match=f"SSL_read: ({reason})"):
        read(pair.server)
    pair.deliver(pair.server)
    with pytest.raises(TlsStreamError, match=r"SSL_read: SSL routines::.*alert bad record mac"):
        read(pair.client)


def test_a_replayed_record_breaks_the_stream(pair: Meeting) -> None:
    write(pair.client, b"transfer 100 to bob")
    record = drain(pair.client)
    pair.server.feed(record)
    assert read(pair.server) == b"transfer 100 to bob"
    pair.server.feed(record)
    with pytest.raises(TlsStreamError):
        read(pair.server)


def test_no_common_version_is_told_to_both(pki: Pki) -> None:
    meeting = Meeting(client("sslVersion = TLSv1.2"), server(*presenting(pki.server), "sslVersion = TLSv1.3")).shake()
    assert meeting.error(meeting.server) == "SSL_accept: SSL routines::unsupported protocol"
    assert "alert protocol version" in meeting.error(meeting.client)


def test_no_common_cipher_is_told_to_both(pki: Pki) -> None:
    theirs = server(*presenting(pki.server), "ciphers = ECDHE-ECDSA-AES128-GCM-SHA256")
    meeting = Meeting(client("sslVersion = TLSv1.2", "ciphers = ECDHE-ECDSA-AES256-GCM-SHA384"), theirs).shake()
    assert meeting.error(meeting.server) == "SSL_accept: SSL routines::no shared cipher"
    assert "handshake failure" in meeting.error(meeting.client)


def test_one_failure_leaves_nothing_behind_for_the_next_connection(pki: Pki) -> None:
    failing = server(*presenting(pki.server))
    failing.feed(b"GET / HTTP/1.0\r\n\r\n")
    with pytest.raises(HandshakeError):
        failing.handshake()
    met(client(), server(*presenting(pki.server)))


def python_client(version: str) -> tuple[ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO]:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    return client_context(version=version).wrap_bio(incoming, outgoing, server_hostname="localhost"), incoming, outgoing


def test_another_library_s_client_is_served(pki: Pki, version: str) -> None:
    engine = server(*presenting(pki.server_rsa))
    peer, incoming, outgoing = python_client(version.removeprefix("TLSv"))
    while True:
        with contextlib.suppress(ssl.SSLWantReadError):
            peer.do_handshake()
        engine.feed(outgoing.read())
        done = engine.handshake()
        incoming.write(drain(engine))
        if done:
            break
    peer.do_handshake()
    peer.write(b"hello")
    engine.feed(outgoing.read())
    assert read(engine) == b"hello"


def test_the_server_name_is_sent(pki: Pki) -> None:
    names: list[str | None] = []
    theirs = server_context(pki.server)
    theirs.sni_callback = lambda _object, name, _context: names.append(name)
    for engine in (
        client(host="www.example.org"),
        client(host="bücher.example"),
        client("sni = other.example", host="www.example.org"),
        client("sni =", host="www.example.org"),
        client(host="127.0.0.1"),
        client(host="::1"),
        client(host="fe80::1%1"),
        client(),
    ):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        peer = theirs.wrap_bio(incoming, outgoing, server_side=True)
        engine.handshake()
        incoming.write(drain(engine))
        with contextlib.suppress(ssl.SSLWantReadError):
            peer.do_handshake()
    assert names == ["www.example.org", "xn--bcher-kva.example", "other.example", None, None, None, None, None]


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example", "." * 3, "x." * 150 + "x"])
def test_a_host_that_no_server_name_can_be_is_an_error_of_ours(host: str) -> None:
    with pytest.raises(HandshakeError, match=r"SSL_connect: .*not a server name"):
        client(host=host)


def test_a_host_s_trailing_dot_is_not_sent(pki: Pki) -> None:
    # RFC 6066, section 3: "without a trailing dot".
    names: list[str | None] = []
    theirs = server_context(pki.server)
    theirs.sni_callback = lambda _object, name, _context: names.append(name)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    peer = theirs.wrap_bio(incoming, outgoing, server_side=True)
    engine = client(host="www.example.org.")
    engine.handshake()
    incoming.write(drain(engine))
    with contextlib.suppress(ssl.SSLWantReadError):
        peer.do_handshake()
    assert names == ["www.example.org"]


def test_a_session_resumes_with_another_engine_of_the_same_context(pki: Pki) -> None:
    shared = context.build(service(*presenting(pki.server)))
    ours = client_context(version="1.2")
    session: ssl.SSLSession | None = None
    reused = []
    for _ in range(2):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        peer = ours.wrap_bio(incoming, outgoing, server_hostname="localhost", session=session)
        engine = shared.engine()
        done = False
        while not done:
            with contextlib.suppress(ssl.SSLWantReadError):
                peer.do_handshake()
                done = True
            engine.feed(outgoing.read())
            engine.handshake()
            incoming.write(drain(engine))
        reused.append(engine.negotiated().reused)
        session = peer.session
    assert reused == [False, True]


@pytest.fixture(scope="module")
def identity(pki: Pki) -> Identity:
    """A certificate whose making is no example's cost."""
    return pki.server


def fresh(identity: Identity, *, client_side: bool) -> TlsEngine:
    return client() if client_side else server(*presenting(identity))


@given(data=st.binary(max_size=300), client_side=st.booleans())
def test_garbage_instead_of_a_handshake_fails_as_ours(identity: Identity, data: bytes, *, client_side: bool) -> None:
    engine = fresh(identity, client_side=client_side)
    engine.feed(data)
    with pytest.raises(HandshakeError):  # noqa: PT012 - the first of the two may fail already
        assert not engine.handshake()
        engine.feed_eof()
        engine.handshake()


@given(seed=st.integers(0, 10_000), flips=st.integers(1, 4))
def test_a_damaged_handshake_fails_as_ours(identity: Identity, seed: int, flips: int) -> None:
    dice = random.Random(seed)
    ours, theirs = client("sslVersion = TLSv1.2"), server(*presenting(identity))
    with contextlib.suppress(HandshakeError):
        for _ in range(6):
            for one, other in ((ours, theirs), (theirs, ours)):
                one.handshake()
                data = bytearray(drain(one))
                for _ in range(flips if data else 0):
                    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
                other.feed(bytes(data))


@given(data=st.binary(min_size=1, max_size=300))
def test_garbage_after_the_handshake_fails_as_ours(identity: Identity, data: bytes) -> None:
    pair = met(client(), server(*presenting(identity)))
    pair.server.feed(data)
    pair.server.feed_eof()
    with pytest.raises(TlsStreamError):
        read(pair.server)


def test_the_evidence_is_the_chain_that_was_verified(pki: Pki, version: str) -> None:
    trusting = client("verifyChain = yes", f"CAfile = {pki.ca}", f"sslVersion = {version}")
    meeting = met(trusting, server(*presenting(pki.server)))
    evidence = meeting.client.evidence()
    assert [one.to_cryptography() for one in evidence.chain] == [pki.server.certificate, pki.authority.certificate]
    assert evidence.stapled == b""
    assert meeting.server.evidence().chain == ()


def test_the_evidence_of_a_resumed_session_is_the_leaf(pki: Pki, version: str) -> None:
    made = context.build(service("verifyChain = yes", f"CAfile = {pki.ca}", *presenting(pki.server)))
    ours = client_context(identity=pki.client, version=version[-3:])
    session: ssl.SSLSession | None = None
    for resumed in (False, True):
        engine = made.engine()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        peer = ours.wrap_bio(incoming, outgoing, server_hostname="localhost", session=session)
        done = False
        for _ in range(4):
            with contextlib.suppress(ssl.SSLWantReadError):
                peer.do_handshake()
            engine.feed(outgoing.read())
            done = done or engine.handshake()
            incoming.write(drain(engine))
        with contextlib.suppress(ssl.SSLWantReadError):
            peer.read(1)
        session = peer.session
        assert done
        assert engine.negotiated().reused is resumed
        chain = [one.to_cryptography() for one in engine.evidence().chain]
        assert chain == [pki.client.certificate, *([] if resumed else [pki.authority.certificate])]


def test_the_function_is_named_for_errors(pair: Meeting) -> None:
    assert (pair.client.function, pair.server.function) == ("SSL_connect", "SSL_accept")


def test_after_it_has_shrunk_an_engine_still_sees_what_there_is(pki: Pki) -> None:
    meeting = met(client(), server(*presenting(pki.server)))
    buffer = memoryview(bytearray(BUFFER))
    for one, other in meeting.ways():
        meeting.deliver(one)
        other.read_into(buffer)
        one.shrink()
        other.shrink()
        assert one.write(memoryview(b"hello")) == 5
        assert one.has_output()
        meeting.deliver(one)
        assert not one.has_output()
        assert other.read_into(buffer) == 5
