"""Socket activation: listening sockets that a service manager has opened for us (sd_listen_fds(3))."""

import os
import socket
from typing import Final

from gtunnel.net.errors import ListenError, errno_text

FIRST: Final = 3
_VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


def inherited() -> tuple[socket.socket, ...]:
    """The sockets, in the manager's order; none if they are meant for another process. They are the caller's.

    The variables go: programs that we start would take their descriptors 3 and up for such sockets. Raises
    `ListenError` for what is no socket.
    """
    pid, count, _ = (os.environ.pop(name, "") for name in _VARIABLES)
    if pid != str(os.getpid()) or not count.isdigit():
        return ()
    found = []
    for number in range(FIRST, FIRST + int(count)):
        try:
            os.set_inheritable(number, False)
            found.append(socket.socket(fileno=number))
        except OSError as error:
            reason = f"descriptor {number} from systemd: {errno_text(error)}"
            raise ListenError(address="LISTEN_FDS", reason=reason) from error
    return tuple(found)
