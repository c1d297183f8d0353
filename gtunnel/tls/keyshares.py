"""The groups that a client offers by default, and those that it makes a key for in advance (RFC 8446, section 4.2.8).

A full handshake comes with a key for the post-quantum hybrid and one for X25519, so that no server needs a further
round trip. The hybrid's is the dearest part of a client's hello, and wasted on a server that has no hybrid. So a
handshake that resumes a session comes only with the key that its server took in the full one, when it had both. What is
on offer stays the same, the hybrid first: a server that has learned it since may ask for it (HelloRetryRequest), and
gets a key for it in the next full handshake, within `sessionCacheTimeout`. The session itself was agreed on with the
group that the server had taken, so what is recorded of the resumed connection is as safe as that was.
"""

from functools import cache
from typing import Final

from OpenSSL import SSL

from gtunnel.conf.options_tls import DEFAULT_CURVES
from gtunnel.conf.settings import TlsSettings
from gtunnel.tls.openssl import binding

# From OpenSSL 3.5 on.
HYBRID: Final = "X25519MLKEM768"
# A key is made for those with a star (SSL_CTX_set1_groups_list(3)).
GROUPS: Final = f"*{HYBRID}:*{DEFAULT_CURVES}"
# By what OpenSSL calls the group that was taken, in small letters.
_NARROWED: Final = {"x25519": f"{HYBRID}:*{DEFAULT_CURVES}", HYBRID.lower(): f"*{HYBRID}:{DEFAULT_CURVES}"}


def are_default(tls: TlsSettings) -> bool:
    """Whether a context with these settings has `GROUPS`: OpenSSL has the hybrid, and nobody has said otherwise."""
    # Whatever a command is about, it may be the groups.
    return tls.curves is None and not tls.commands and _has_hybrid()


def narrowed(group: str | None) -> str | None:
    """`GROUPS` with a key for the one that a server took only; None for one that no key was made for."""
    return None if group is None else _NARROWED.get(group.lower())


@cache
def _has_hybrid() -> bool:
    return binding.set_groups(SSL.Context(SSL.TLS_METHOD), GROUPS)
