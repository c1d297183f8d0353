"""A failed handshake is told so that somebody can act on it; OpenSSL's own words stay."""

import pytest

from gtunnel.tls.diagnosis import Scene, explain, explain_alert
from gtunnel.tls.hello import ClientHello
from tests.gtunnel.tls.pairs import Meeting, client, presenting, server, service
from tests.gtunnel.tls.test_hello import hello_of, read
from tests.support.certificates import Pki

SERVER = ("cert = c",)


def scene(*lines: str, first: bytes = b"", hello: ClientHello | None = None, rejected: str = "") -> Scene:
    return Scene(settings=service(*SERVER, *lines), first=first, hello=hello, rejected=rejected)


def at_client(first: bytes = b"") -> Scene:
    return Scene(settings=service(client=True), first=first, hello=None, rejected="")


def offering(*, newest: int = 0x0304, **more: tuple[int, ...]) -> ClientHello:
    values: dict[str, tuple[int, ...]] = {"ciphers": (0x1301,), "groups": (29,), "signatures": ()} | more
    return ClientHello(
        version=0x0303,
        versions=tuple(range(0x0301, newest + 1)),
        server_name=None,
        session_id=b"",
        ticket=None,
        identities=(),
        **values,
    )


@pytest.mark.parametrize(
    ("first", "told"),
    [
        (b"GET / HTTP/1.1\r\n", "peer spoke plain HTTP on a TLS port"),
        (b"CONNECT a:1 HTTP/1.1\r\n", "peer took us for an HTTP proxy"),
        (b"SSH-2.0-OpenSSH", "peer spoke SSH"),
        (b"PROXY TCP4 ", "PROXY header"),
        (b"\r\n\r\n\x00\r\nQUIT\n\x21", "PROXY header (version 2)"),
        (b"\x05\x01\x00", "SOCKS 5"),
        (b"\x80\x2e\x01\x00\x02", "SSL 2.0"),
        (b"\x00\xffsecret things", "peer does not speak TLS (its first bytes: 00 ff 73 65 63 72 65 74)"),
        (b"\x16\x03\x01", ""),
        (b"", ""),
    ],
)
def test_a_client_that_speaks_something_else(first: bytes, told: str) -> None:
    found = explain("SSL_accept: SSL routines::wrong version number", scene(first=first))
    assert told in found
    assert bool(told) == bool(found)


@pytest.mark.parametrize(
    ("first", "told"),
    [
        (b"HTTP/1.1 400 Bad", "server spoke plain HTTP"),
        (b"220 mail ESMTP", "use STARTTLS"),
        (b"+OK ready", "POP3"),
        (b"* OK IMAP", "IMAP"),
        (b"GET /", "server does not speak TLS"),
    ],
)
def test_a_server_that_speaks_something_else(first: bytes, told: str) -> None:
    assert told in explain("SSL_connect: SSL routines::wrong version number", at_client(first))


@pytest.mark.parametrize(
    ("lines", "newest", "told"),
    [
        (("sslVersionMin = TLSv1.2",), 0x0301, "client offers TLS 1.0 at most, sslVersionMin is TLSv1.2"),
        (("sslVersion = TLSv1.3",), 0x0303, "client offers TLS 1.2 at most, sslVersionMin is TLSv1.3"),
        ((), 0x0302, "client offers TLS 1.1 at most, and securityLevel = 2 allows TLS 1.2 and newer"),
    ],
)
def test_versions(lines: tuple[str, ...], newest: int, told: str) -> None:
    reason = "SSL_accept: SSL routines::unsupported protocol"
    assert explain(reason, scene(*lines, hello=offering(newest=newest))) == told


def test_an_old_version_whose_signatures_are_too_weak() -> None:
    reason = "SSL_accept: SSL routines::no suitable signature algorithm"
    assert explain(reason, scene(hello=offering(newest=0x0302))).startswith("client offers TLS 1.1 at most")
    assert explain(reason, scene(hello=offering())).startswith("peer accepts no signature")


def test_a_client_that_is_too_new() -> None:
    hello = offering()
    told = explain("SSL routines::unsupported protocol", scene("sslVersion = TLSv1.2", hello=hello))
    assert told == "client offers TLS 1.3, sslVersionMax is TLSv1.2"


def test_ciphers_by_name_and_not_too_many() -> None:
    hello = offering(ciphers=(0x1301, 0x00FF, 0x5A5A, 0xC02F, 0xFEFE), groups=(4588, 29, 0x7777))
    told = explain("SSL_accept: SSL routines::no shared cipher", scene(hello=hello))
    assert told == (
        "peer offers TLS_AES_128_GCM_SHA256, ECDHE-RSA-AES128-GCM-SHA256, 0xfefe, "
        "with groups X25519MLKEM768, X25519, 0x7777"
    )
    old = scene("sslVersion = TLSv1.2", hello=offering(ciphers=(0x1301, 0xC02F), groups=()))
    assert explain("SSL routines::no shared cipher", old) == "peer offers ECDHE-RSA-AES128-GCM-SHA256"
    many = offering(ciphers=tuple(range(0xC023, 0xC023 + 20)), groups=())
    assert explain("SSL routines::no shared cipher", scene(hello=many)).endswith(" and 12 more")


def test_groups() -> None:
    told = explain("SSL routines::no suitable key share", scene(hello=offering(groups=(23, 4588))))
    assert told == "peer offers groups P-256, X25519MLKEM768"


@pytest.mark.parametrize("library", ["sslv3", "tlsv1", "tls", "tlsv13"])
def test_alerts_in_every_version_s_words(library: str) -> None:
    told = explain(f"SSL_accept: SSL routines::{library} alert bad certificate", scene())
    assert told == "peer refused our certificate"
    assert explain_alert(f"SSL_read: SSL routines::{library} alert certificate required", at_client().settings) == (
        "server demands a client certificate: set cert"
    )


def test_an_alert_that_nobody_knows_is_left_alone() -> None:
    assert explain("SSL_accept: SSL routines::tls alert what", scene()) == ""
    assert explain_alert("SSL_read: SSL routines::bad record mac", at_client().settings) == ""


def test_what_verification_said_is_repeated() -> None:
    rejected = "Subject checks failed (at depth=0: CN=a)"
    assert explain("SSL routines::certificate verify failed", scene(rejected=rejected)) == rejected


def test_openssl_really_says_these_words(pki: Pki) -> None:
    cases = [
        (("sslVersion = TLSv1.3",), ("sslVersion = TLSv1.2",), "unsupported protocol"),
        (("sslVersion = TLSv1.2", "ciphers = AES128-SHA"), ("ciphers = AES256-SHA",), "no shared cipher"),
        (("curves = P-384",), ("curves = X25519", "sslVersion = TLSv1.3"), "no suitable key share"),
        ((f"CAfile = {pki.ca}", "verifyChain = yes"), (), "peer did not return a certificate"),
        ((f"CAfile = {pki.ca}", "verifyChain = yes"), presenting(pki.stranger_client), "certificate verify failed"),
    ]
    hello = read(hello_of())
    for ours, theirs, words in cases:
        meeting = Meeting(client(*theirs), server(*presenting(pki.server_rsa), *ours)).shake()
        error = meeting.error(meeting.server)
        assert words in error
        rejected = meeting.server.rejected
        found = Scene(settings=service(*SERVER, *ours), first=meeting.server.first, hello=hello, rejected=rejected)
        assert explain(error, found), error
