"""Whom we trust: the certificates that a peer's has to lead to, or to be one of."""

from functools import partial

from OpenSSL import SSL

from gtunnel.conf.settings import VerificationSettings
from gtunnel.tls import caengine
from gtunnel.tls.castore import store_files, store_path
from gtunnel.tls.errors import TlsSetupError, openssl_reason
from gtunnel.tls.openssl import stores
from gtunnel.tls.openssl.verify import set_verify
from gtunnel.tls.setup import check_directory, read_file, take_all
from gtunnel.tls.site import Site
from gtunnel.tls.verification import decision, verify_mode


def set_verification(
    context: SSL.Context, settings: VerificationSettings, site: Site, *, server: bool, tolerant: bool = False
) -> None:
    """Load what is trusted, and say what is demanded. Raises `TlsSetupError` with all that is wrong.

    `tolerant`: peers that do not convince are not refused (see `verification`).
    """
    take_all(
        partial(_load_trusted_file, context, settings.ca_file, site, announced=server and settings.request),
        partial(_load_trusted_directory, context, settings.ca_path, site),
        partial(_load_trusted_store, context, settings, site),
        partial(_load_trusted_engine, context, settings),
    )
    set_verify(context, verify_mode(settings, tolerant=tolerant), decision(settings, tolerant=tolerant))


def _load_trusted_file(context: SSL.Context, file: str | None, site: Site, *, announced: bool) -> None:
    if file is None:
        return
    if b"-----BEGIN " not in read_file("CAfile", file, site):
        reason = "no certificate in PEM in it; if it is DER: openssl x509 -inform DER"
        raise TlsSetupError(option="CAfile", value=file, reason=reason)
    try:
        context.load_verify_locations(file)
        if announced:
            # The names a client picks its certificate by (RFC 8446, section 4.2.4).
            context.load_client_ca(file.encode())
    except SSL.Error as error:
        raise TlsSetupError(option="CAfile", value=file, reason=openssl_reason(error)) from error


def _load_trusted_directory(context: SSL.Context, directory: str | None, site: Site) -> None:
    if directory is None:
        return
    check_directory("CApath", directory, site)
    try:
        context.load_verify_locations(None, directory)
    except SSL.Error as error:
        raise TlsSetupError(option="CApath", value=directory, reason=openssl_reason(error)) from error


def _load_trusted_engine(context: SSL.Context, settings: VerificationSettings) -> None:
    store = context.get_cert_store()
    for certificate in caengine.certificates(settings.ca_engine):
        if store is not None:  # every context has one; the type does not say so
            store.add_cert(certificate)


def _load_trusted_store(context: SSL.Context, settings: VerificationSettings, site: Site) -> None:
    """What `CAstore` names: files by ourselves, which works with every build, anything else by OpenSSL's loaders."""
    uri = settings.ca_store
    if uri is None:
        return
    path = store_path(uri)
    try:
        if path is not None:
            for file in store_files(path, site):
                context.load_verify_locations(str(file))
            return
        if settings.peer:
            # Its certificates would have to be listed, to compare the peer's with them.
            raise TlsSetupError(option="CAstore", value=uri, reason="verifyPeer needs CAfile, CApath or a file: URI")
        if not stores.can_load_stores():
            reason = "only file: URIs work with an OpenSSL that is linked statically (docs/debian.md has the other one)"
            raise TlsSetupError(option="CAstore", value=uri, reason=reason)
        stores.add_store(context, uri)
    except SSL.Error as error:
        raise TlsSetupError(option="CAstore", value=uri, reason=openssl_reason(error)) from error
