"""Which certificates of a peer are to be asked about, and who issued each.

As in stunnel, all of its chain are, the root excepted: nobody but itself could revoke it. A resumed session brings the
leaf alone; its chain is the one that was verified when it was first seen here, else one that our trust makes.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from cryptography import x509
from OpenSSL import crypto

from gtunnel.tls.ocsp.errors import InconclusiveError
from gtunnel.values import dataclass

# Chains that are remembered: a few kilobytes each.
MAX_REMEMBERED: Final = 512


@dataclass(frozen=True, slots=True)
class Link:
    """A certificate at its depth (0: the leaf), and who issued it; None if that is not known."""

    depth: int
    certificate: x509.Certificate
    issuer: x509.Certificate | None


class Chains:
    """The chains of one service's peers."""

    def __init__(self, trust: crypto.X509Store) -> None:
        self._trust = trust
        self._remembered: OrderedDict[bytes, tuple[x509.Certificate, ...]] = OrderedDict()

    def links(self, chain: Sequence[crypto.X509]) -> tuple[Link, ...]:
        """What is to be asked about a verified chain, the leaf first. Raises `InconclusiveError`."""
        whole = self._complete(chain)
        issuers = (*whole[1:], None)
        pairs = zip(whole, issuers, strict=True)
        return tuple(
            Link(depth, certificate, issuer)
            for depth, (certificate, issuer) in enumerate(pairs)
            if certificate.issuer != certificate.subject
        )

    def _complete(self, chain: Sequence[crypto.X509]) -> tuple[x509.Certificate, ...]:
        try:
            whole = tuple(one.to_cryptography() for one in chain)
            leaf = crypto.dump_certificate(crypto.FILETYPE_ASN1, chain[0])
            if len(chain) == 1 and whole[0].issuer != whole[0].subject:
                whole = self._remembered.get(leaf) or self._build(chain[0]) or whole
        except ValueError as error:
            raise InconclusiveError(reason=f"the peer's certificates cannot be read: {error}") from error
        self._remembered[leaf] = whole
        self._remembered.move_to_end(leaf)
        if len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)
        return whole

    def _build(self, leaf: crypto.X509) -> tuple[x509.Certificate, ...]:
        try:
            chain = crypto.X509StoreContext(self._trust, leaf).get_verified_chain()
        except crypto.X509StoreContextError:
            return ()
        return tuple(one.to_cryptography() for one in chain)
