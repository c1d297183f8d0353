"""Sessions as bytes, and a server's hold on them.

A session's encoding (i2d_SSL_SESSION(3)) holds its secrets and, in a server, the client's certificate and what was
found wrong with it. What resumes a session in a server by its id needs OpenSSL's own cache, which only a shared libssl
lets us reach: a session that was kept elsewhere is put in just before OpenSSL looks for it.
"""

import ctypes
from time import time
from typing import Final

from OpenSSL import SSL
from OpenSSL._util import ffi, lib

from gtunnel.tls.openssl import binding
from gtunnel.tls.openssl.native import function, pointer

# For those who only hold one.
Session = SSL.Session

# ssl.h and tls1.h.
_SET_SESS_CACHE_SIZE: Final = 42
_SET_TICKET_KEYS: Final = 59
# SSL_CTX_set_tlsext_ticket_keys: name, MAC secret, encryption key.
TICKET_NAME_BYTES: Final = 16
TICKET_SECRET_BYTES: Final = 32
# RFC 5246, section 7.4.1.2.
MAX_SESSION_ID: Final = 32

_context_ctrl = function(
    "SSL_CTX_ctrl", ctypes.c_long, ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_char_p
)
_add_session = function("SSL_CTX_add_session", ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_remove_session = function("SSL_CTX_remove_session", ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_set_num_tickets = function("SSL_CTX_set_num_tickets", ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)
_set_own_num_tickets = function("SSL_set_num_tickets", ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)
_get_id = function(
    "SSL_SESSION_get_id", ctypes.POINTER(ctypes.c_ubyte), ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint)
)
_get_time = function("SSL_SESSION_get_time", ctypes.c_long, ctypes.c_void_p)
_set_time = function("SSL_SESSION_set_time", ctypes.c_long, ctypes.c_void_p, ctypes.c_long)
_get_timeout = function("SSL_SESSION_get_timeout", ctypes.c_long, ctypes.c_void_p)
_set_timeout = function("SSL_SESSION_set_timeout", ctypes.c_long, ctypes.c_void_p, ctypes.c_long)

_encode = function("i2d_SSL_SESSION", ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_decode = function("d2i_SSL_SESSION", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_long)

# Whether a server's sessions can be kept outside of OpenSSL and handed to it.
CAN_OFFER: Final = None not in (_add_session, _remove_session, _get_id, _context_ctrl)
# Whether session tickets can be encrypted with keys of ours.
CAN_SET_TICKET_KEYS: Final = _context_ctrl is not None
# Whether `keep_end` does something.
CAN_KEEP_END: Final = None not in (_get_time, _set_time, _get_timeout, _set_timeout)


def encode(session: SSL.Session) -> bytes:
    """A session as DER; empty for what OpenSSL cannot encode."""
    # Given no memory, OpenSSL takes as much as it needs; to be told first how much that is would be the work twice.
    place = ffi.new("unsigned char **")
    raw = session._session
    # Only newer bindings list it; where they do not, OpenSSL is a shared library.
    length = lib.i2d_SSL_SESSION(raw, place) if _encode is None else _encode(pointer(raw), pointer(place))
    if length <= 0:
        return b""
    encoded = bytes(ffi.buffer(place[0], length))
    lib.OPENSSL_free(place[0])
    return encoded


def decode(data: bytes) -> SSL.Session | None:
    """A session from DER; None if it is none."""
    buffer = ffi.from_buffer(data)
    place = ffi.new("const unsigned char **", ffi.cast("const unsigned char *", buffer))
    if _decode is None:
        raw = lib.d2i_SSL_SESSION(ffi.NULL, place, len(data))
    else:
        raw = ffi.cast("SSL_SESSION *", _decode(None, pointer(place), len(data)) or 0)
    if raw == ffi.NULL:
        binding.clear_errors()
        return None
    session = SSL.Session()
    session._session = ffi.gc(raw, lib.SSL_SESSION_free)
    return session


def resume(connection: SSL.Connection, session: SSL.Session) -> bool:
    """Have a client offer a session before its handshake; False if OpenSSL does not take it.

    pyOpenSSL's own `set_session` takes only sessions that it has seen in the same context.
    """
    return bool(lib.SSL_set_session(connection._ssl, session._session) == 1)


def has_another(connection: SSL.Connection, than: SSL.Session | None) -> bool:
    """Whether a connection has a session, and not the one that it had before: it gets a new one with each TLS 1.3
    ticket."""
    current = lib.SSL_get_session(connection._ssl)
    # The earlier one is held, so its memory has not become the other's.
    return bool(current != ffi.NULL and (than is None or current != than._session))


def session_id(session: SSL.Session) -> bytes:
    """What a client names the session by; empty if it has no id."""
    if _get_id is None:
        return b""
    length = ctypes.c_uint()
    data = _get_id(pointer(session._session), ctypes.byref(length))
    return bytes(data[: length.value])


def keep_end(connection: SSL.Connection) -> None:
    """Let the session that a server is resuming end when it would have anyway.

    TLS 1.3 renews it by another ticket, whose time begins anew (what it lasts is the old one's): without this it would
    never end. To be called between the ClientHello and the ticket, as often as one likes.
    """
    session = lib.SSL_get_session(connection._ssl)
    if session == ffi.NULL or _get_time is None or _set_time is None or _get_timeout is None or _set_timeout is None:
        return
    raw, now = pointer(session), int(time())
    left = _get_time(raw) + _get_timeout(raw) - now
    if left > 0:
        _set_time(raw, now)
        _set_timeout(raw, left)
    elif _set_own_num_tickets is not None:
        # OpenSSL has no session that lasts 0 seconds.
        _set_own_num_tickets(pointer(connection._ssl), 0)


def offer(context: SSL.Context, session: SSL.Session) -> None:
    """Put a session where OpenSSL looks for the one that a client names."""
    if _add_session is not None:
        _add_session(pointer(context._context), pointer(session._session))


def withdraw(context: SSL.Context, session: SSL.Session) -> None:
    """Take it away again."""
    if _remove_session is not None:
        _remove_session(pointer(context._context), pointer(session._session))


def set_ticket_keys(context: SSL.Context, name: bytes, mac: bytes, key: bytes) -> bool:
    """Encrypt session tickets with these instead of random ones; False if OpenSSL does not take them."""
    if _context_ctrl is None:
        return False
    keys = name + mac + key
    return bool(_context_ctrl(pointer(context._context), _SET_TICKET_KEYS, len(keys), keys) == 1)


def set_ticket_count(context: SSL.Context, count: int) -> None:
    """How many TLS 1.3 tickets a full handshake sends, as far as this can be set."""
    if _set_num_tickets is not None:
        _set_num_tickets(pointer(context._context), count)
