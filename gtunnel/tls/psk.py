"""Pre-shared keys (manual, options PSKsecrets and PSKidentity; RFC 4279; RFC 8446, section 4.2.11)."""

import re
from dataclasses import field
from functools import partial
from typing import Final

from OpenSSL import SSL

from gtunnel.conf.settings import TlsSettings
from gtunnel.events import Level
from gtunnel.tls.errors import TlsSetupError
from gtunnel.tls.openssl import psk
from gtunnel.tls.setup import read_file
from gtunnel.tls.site import Site
from gtunnel.tls.verification import Verdicts
from gtunnel.values import dataclass

# As stunnel has it.
MIN_KEY_BYTES: Final = 16
# PSK_MAX_PSK_LEN and PSK_MAX_IDENTITY_LEN of OpenSSL 3 (ssl.h); the buffers of its callbacks.
MAX_KEY_BYTES: Final = 256
MAX_IDENTITY_BYTES: Final = 256
_HEX: Final = re.compile(rb"(?:[0-9A-Fa-f]{2})+")


@dataclass(frozen=True, slots=True)
class Key:
    """One line of a PSKsecrets file."""

    identity: bytes
    secret: bytes = field(repr=False)


def parse(content: bytes, file: str) -> tuple[Key, ...]:
    """Read `IDENTITY:KEY` lines; a key of hexadecimal digits is what they stand for. Raises `TlsSetupError`.

    What is wrong is told by its line's number; nothing of the line is shown.
    """
    keys: list[Key] = []
    for number, line in enumerate(content.splitlines(), 1):
        if not line:
            continue
        identity, colon, text = line.partition(b":")
        if not identity or not colon:
            raise _problem(file, number, "Not in identity:key format")
        secret = bytes.fromhex(text.decode("ascii")) if _HEX.fullmatch(text) else text
        if len(secret) < MIN_KEY_BYTES:
            raise _problem(file, number, f"Key shorter than {MIN_KEY_BYTES} bytes")
        if len(secret) > MAX_KEY_BYTES:
            raise _problem(file, number, f"Key longer than {MAX_KEY_BYTES} bytes")
        if len(identity) > MAX_IDENTITY_BYTES or b"\0" in identity:
            raise _problem(file, number, f"Identity longer than {MAX_IDENTITY_BYTES} bytes, or with a NUL in it")
        keys.append(Key(identity, secret))
    if not keys:
        raise TlsSetupError(option="PSKsecrets", value=file, reason="No PSK identities found")
    return tuple(keys)


def set_keys(context: SSL.Context, tls: TlsSettings, site: Site, *, client: bool) -> None:
    """Use the keys of a service's file. Raises `TlsSetupError`."""
    if tls.psk_secrets is None:
        return
    keys = parse(read_file("PSKsecrets", tls.psk_secrets, site), tls.psk_secrets)
    if client:
        chosen = _chosen(keys, tls)
        psk.set_client_key(context, partial(_choose, chosen))
        return
    # The first of several with the same name counts, as in stunnel.
    secrets = {key.identity: key.secret for key in reversed(keys)}

    def find(connection: SSL.Connection, identity: bytes) -> bytes | None:
        secret = secrets.get(identity)
        verdicts = connection.get_app_data()
        if isinstance(verdicts, Verdicts):
            if secret is None:
                verdicts.lines.append((Level.INFO, "PSK identity not found (session resumption?)"))
            else:
                verdicts.shared_key = True
                verdicts.lines.append((Level.NOTICE, f'Key configured for PSK identity "{_shown(identity)}"'))
        return secret

    psk.set_server_keys(context, find)


def _choose(key: Key, connection: SSL.Connection) -> tuple[bytes, bytes]:
    verdicts = connection.get_app_data()
    if isinstance(verdicts, Verdicts):
        verdicts.shared_key = True
    return key.identity, key.secret


def _chosen(keys: tuple[Key, ...], tls: TlsSettings) -> Key:
    if tls.psk_identity is None:
        return keys[0]
    wanted = tls.psk_identity.encode()
    for key in keys:
        if key.identity == wanted:
            return key
    raise TlsSetupError(option="PSKidentity", value=tls.psk_identity, reason=f"No key found in {tls.psk_secrets}")


def _shown(identity: bytes) -> str:
    return identity.decode("utf-8", "backslashreplace")


def _problem(file: str, line: int, reason: str) -> TlsSetupError:
    return TlsSetupError(option="PSKsecrets", value=file, reason=f"{file} line {line}: {reason}")
