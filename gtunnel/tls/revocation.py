"""Revocation lists (RFC 5280, section 5): whose certificates are not good any more, `CRLfile` and `CRLpath`.

As in stunnel, a peer's own certificate has to be covered by a list that holds now: without one, it is refused. Of the
certificates above it stunnel looks at none. Here those that a list names are refused as well; that there is no list for
them, or an old one, is let pass, since what works with stunnel shall work.
"""

from functools import partial

from OpenSSL import SSL
from OpenSSL.crypto import X509

from gtunnel.conf.settings import VerificationSettings
from gtunnel.tls.errors import TlsSetupError, openssl_reason
from gtunnel.tls.openssl import binding, stores
from gtunnel.tls.setup import check_directory, read_file, take_all
from gtunnel.tls.site import Site


def set_revocation(context: SSL.Context, settings: VerificationSettings, site: Site) -> None:
    """Load the lists, and have them looked at. Raises `TlsSetupError` with all that is wrong."""
    if settings.crl_file is None and settings.crl_path is None:
        return
    take_all(
        partial(_load_file, context, settings.crl_file, site),
        partial(_load_directory, context, settings.crl_path, site),
    )
    stores.check_lists(context)


def passes(error: int, depth: int) -> bool:
    """Whether an error of verification is only about a missing or unusable list for an issuer's certificate."""
    return depth > 0 and error in stores.CRL_TROUBLE


def is_uncovered(settings: VerificationSettings, certificate: X509) -> bool:
    """Whether no list can cover a peer's certificate that nothing stands above: it signed itself.

    OpenSSL 4 lets it pass without a look.
    """
    lists = settings.crl_file is not None or settings.crl_path is not None
    return lists and settings.convincing and binding.is_self_issued(certificate)


def _load_file(context: SSL.Context, file: str | None, site: Site) -> None:
    if file is None:
        return
    try:
        count = stores.add_lists(context, read_file("CRLfile", file, site))
    except SSL.Error as error:
        raise TlsSetupError(option="CRLfile", value=file, reason=openssl_reason(error)) from error
    if not count:
        reason = "no revocation list in PEM in it; if it is DER: openssl crl -inform DER"
        raise TlsSetupError(option="CRLfile", value=file, reason=reason)


def _load_directory(context: SSL.Context, directory: str | None, site: Site) -> None:
    if directory is None:
        return
    check_directory("CRLpath", directory, site)
    try:
        stores.add_directory(context, directory)
    except SSL.Error as error:
        raise TlsSetupError(option="CRLpath", value=directory, reason=openssl_reason(error)) from error
