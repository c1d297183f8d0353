"""A connection within the process: what a program is given as its standard input and output, and our end of it.

It is a TCP connection on the loopback, as stunnel's: many programs for inetd ask for the addresses of their socket and
give up where it is no Internet socket. Where that cannot be had at once (no loopback in a network namespace, a packet
filter) it is a pair of Unix sockets.
"""

import errno
import socket
from typing import Final

from gtunnel.net import sockopts

# Somebody else on this machine may connect in between: that one is turned away.
_TRIES: Final = 8
# Nothing of the kind works with these: there is no use in trying another kind of socket.
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE)


def connected(mark: int = 0) -> tuple[socket.socket, socket.socket]:
    """Our end, which does not block, and the program's, which does. `mark`: the SO_MARK of gtunnel's own sockets.

    Raises `OSError` if nothing can be had.
    """
    try:
        found = _loopback(mark)
    except OSError as error:
        if error.errno in _EXHAUSTED:
            raise
        found = None
    ours, theirs = found or socket.socketpair()
    ours.setblocking(False)
    return ours, theirs


def _loopback(mark: int) -> tuple[socket.socket, socket.socket] | None:
    theirs = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
            listener.setblocking(False)
            listener.bind(("127.0.0.1", 0))
            listener.listen(_TRIES)
            # Within one machine a connection is there when connect(2) returns, whatever that says (the answer to it was
            # on its way while the socket was locked), or something is in its way and `accept` says so.
            theirs.setblocking(False)
            if mark:
                sockopts.set_mark(theirs, mark)
            theirs.connect_ex(listener.getsockname())
            ours = _accept_from(listener, theirs.getsockname())
    except OSError:
        theirs.close()
        raise
    if ours is None:
        theirs.close()
        return None
    theirs.setblocking(True)
    for sock in (ours, theirs):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return ours, theirs


def _accept_from(listener: socket.socket, expected: object) -> socket.socket | None:
    for _ in range(_TRIES):
        sock, peer = listener.accept()
        if peer == expected:
            return sock
        sock.close()
    return None
