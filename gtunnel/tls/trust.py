"""Whom we trust: the certificates that a peer's has to lead to, or to be one of."""

import stat
from functools import partial
from pathlib import Path

from OpenSSL import SSL

from gtunnel.conf.settings import VerificationSettings
from gtunnel.tls.errors import TlsSetupError, openssl_reason
from gtunnel.tls.setup import read_file, take_all
from gtunnel.tls.verification import verify_callback, verify_mode


def set_verification(context: SSL.Context, settings: VerificationSettings, *, server: bool) -> None:
    """Load what is trusted, and say what is demanded. Raises `TlsSetupError` with all that is wrong."""
    take_all(
        partial(_load_trusted_file, context, settings.ca_file, announced=server and settings.request),
        partial(_load_trusted_directory, context, settings.ca_path),
    )
    context.set_verify(verify_mode(settings), verify_callback(settings))


def _load_trusted_file(context: SSL.Context, file: str | None, *, announced: bool) -> None:
    if file is None:
        return
    read_file("CAfile", file)
    try:
        context.load_verify_locations(file)
        if announced:
            # The names a client picks its certificate by (RFC 8446, section 4.2.4).
            context.load_client_ca(file.encode())
    except SSL.Error as error:
        raise TlsSetupError(option="CAfile", value=file, reason=openssl_reason(error)) from error


def _load_trusted_directory(context: SSL.Context, directory: str | None) -> None:
    if directory is None:
        return
    try:
        # OpenSSL looks into it when a certificate is asked for, and then says nothing of a directory that is none.
        is_directory = stat.S_ISDIR(Path(directory).stat().st_mode)
    except OSError as error:
        raise TlsSetupError(option="CApath", value=directory, reason=error.strerror or error) from error
    if not is_directory:
        raise TlsSetupError(option="CApath", value=directory, reason="Not a directory")
    try:
        context.load_verify_locations(None, directory)
    except SSL.Error as error:
        raise TlsSetupError(option="CApath", value=directory, reason=openssl_reason(error)) from error
