"""The answer that a server staples to its own certificate (RFC 6066, section 8), so that clients need not ask.

A handshake takes what there is and waits for nothing; somebody else fetches answers and puts them here.
"""

import datetime
from contextlib import suppress
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL, crypto

from gtunnel.address import HttpUrl
from gtunnel.conf.settings import OcspSettings, ServiceSettings
from gtunnel.tls.ocsp import question
from gtunnel.tls.ocsp.errors import InconclusiveError
from gtunnel.tls.ocsp.judgement import Judgement, Terms, judge
from gtunnel.tls.ocsp.moments import Moment, now
from gtunnel.tls.ocsp.question import Question

# An answer without an end is served for so long after it was given.
ENDLESS: Final = datetime.timedelta(hours=2)


class Staple:
    """The answer about one service's certificate. Made before workers are forked; each of them then has its own."""

    def __init__(self, context: SSL.Context, settings: OcspSettings) -> None:
        """Staple in the handshakes of `context` from now on: nothing, until `prepare` and `put`."""
        self._context = context
        self._settings = settings
        self._terms = Terms(flags=settings.flags, trust=None)
        self._certificate = b""
        self._answer = b""
        self._ends: Moment | None = None
        self.question: Question | None = None
        # Who is to be asked, one after the other.
        self.urls: tuple[HttpUrl, ...] = ()
        context.set_ocsp_server_callback(self._offer)

    def prepare(self) -> None:
        """Find out what is to be asked, and whom (there may be nothing). The context must be complete.

        Raises `InconclusiveError` for a certificate that cannot be asked about.
        """
        presented = _presented(self._context)
        if not presented or presented[0].issuer == presented[0].subject:
            return
        leaf = presented[0]
        named = question.responders(leaf) if self._settings.aia else ()
        self.urls = tuple(url for url in (self._settings.url, *named) if isinstance(url, HttpUrl))
        if not self.urls:
            return
        issuer = _issuer(self._context, presented)
        if issuer is None:
            reason = "nothing is stapled: the certificate's issuer is neither in cert nor in CAfile"
            raise InconclusiveError(reason=reason)
        self.question = question.ask(leaf, issuer, nonce=False)
        self._certificate = leaf.public_bytes(Encoding.DER)

    def put(self, answer: bytes) -> Judgement:
        """Serve an answer from now on, if it says that the certificate is good. Raises `InconclusiveError`."""
        if self.question is None:
            raise InconclusiveError(reason="nothing was asked")
        found = judge(answer, self.question, [], self._terms, now())
        self._answer = answer if found.good else b""
        self._ends = found.ends or found.begins + ENDLESS
        return found

    def offer(self, certificate: crypto.X509 | None) -> bytes:
        """What to staple to a certificate, empty for nothing. An answer that has ended is none."""
        if not self._answer or certificate is None or self._ends is None or self._ends < now():
            return b""
        # A context may have certificates of several kinds, and this answer is about one of them.
        same = crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate) == self._certificate
        return self._answer if same else b""

    def _offer(self, connection: SSL.Connection, _: object) -> bytes:
        return self.offer(connection.get_certificate())


def staple_for(context: SSL.Context, service: ServiceSettings) -> Staple | None:
    """A server's staple; None where nobody is to be asked."""
    if service.client or not service.ocsp.asks or service.tls.cert is None:
        return None
    return Staple(context, service.ocsp)


def _issuer(context: SSL.Context, presented: tuple[x509.Certificate, ...]) -> x509.Certificate | None:
    leaf = presented[0]
    for candidate in presented[1:]:
        if candidate.subject == leaf.issuer:
            return candidate
    trust = context.get_cert_store()
    if trust is not None:
        with suppress(crypto.X509StoreContextError, ValueError):
            chain = crypto.X509StoreContext(trust, crypto.X509.from_cryptography(leaf)).get_verified_chain()
            return chain[1].to_cryptography() if len(chain) > 1 else None
    return None


def _presented(context: SSL.Context) -> tuple[x509.Certificate, ...]:
    """The chain that a client is shown: asked for as a client would, in memory.

    Whatever kind of file or store it comes from, no binding tells a context's chain.
    """
    asking = SSL.Context(SSL.TLS_METHOD)
    asking.set_cipher_list(b"ALL:@SECLEVEL=0")
    client, server = SSL.Connection(asking, None), SSL.Connection(context, None)
    client.set_connect_state()
    server.set_accept_state()
    for one, other in ((client, server), (server, client), (client, server)):
        with suppress(SSL.Error):
            one.do_handshake()
        with suppress(SSL.Error):
            other.bio_write(one.bio_read(_FLIGHT_BYTES))
    with suppress(ValueError):
        return tuple(one.to_cryptography() for one in client.get_peer_cert_chain() or ())
    return ()


# More than any flight of a handshake with a chain in it.
_FLIGHT_BYTES: Final = 256 * 1024
