"""Who may use a SOCKS server (option socksUsers): a file of `USER:PASSWORD` lines, the passwords as such or hashed."""

import hmac
import os
from dataclasses import field
from typing import Final

from gtunnel.values import dataclass
from gtunnel.wire import sha512crypt

# RFC 1929: one byte says how long each is.
MAX_BYTES: Final = 255
_HASHED: Final = b"$6$"
# A hash that nothing is the password of: a user that is not there costs the time of one that is.
_NOBODY: Final = b"$6$nobodyisthere000$" + b"." * 86


class UsersError(ValueError):
    """A file that is none. Nothing of its lines is shown."""


@dataclass(frozen=True, slots=True)
class Users:
    """Names, and what is known of their passwords."""

    secrets: dict[bytes, bytes] = field(repr=False)

    @property
    def stranger(self) -> bytes:
        """What the password of a user that is not there is compared with: never equal, and as costly as the others."""
        hashed = any(secret.startswith(_HASHED) for secret in self.secrets.values())
        return _NOBODY if hashed else os.urandom(MAX_BYTES)

    def accept(self, name: bytes, password: bytes) -> bool:
        """Whether it is one of them, with its password. Takes milliseconds with hashes; call it in a thread."""
        stored = self.secrets.get(name, self.stranger)
        if stored.startswith(_HASHED):
            return sha512crypt.verify(password, stored)
        return hmac.compare_digest(password, stored)


def parse(content: bytes) -> Users:
    """Read the file. Empty lines and those that begin with # are left out. Raises `UsersError`."""
    secrets: dict[bytes, bytes] = {}
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip() or line.startswith(b"#"):
            continue
        name, colon, secret = line.partition(b":")
        if not name or not colon or not secret:
            raise UsersError(f"line {number}: Not in user:password format")
        if len(name) > MAX_BYTES or len(secret) > MAX_BYTES:
            raise UsersError(f"line {number}: longer than {MAX_BYTES} bytes")
        if secret.startswith(b"$") and not sha512crypt.is_hash(secret):
            raise UsersError(f"line {number}: only hashes as `openssl passwd -6` makes them are known")
        if name in secrets:
            raise UsersError(f"line {number}: the user of an earlier line")
        secrets[name] = secret
    if not secrets:
        raise UsersError("there is no user in it")
    return Users(secrets)
