"""What a program is told of its connection: the environment that stunnel's programs know (manual, option exec)."""

from collections.abc import Mapping
from typing import Final

from gtunnel.address import UnixPath
from gtunnel.net.names import Target
from gtunnel.net.transparency import Accepted
from gtunnel.tls.engine import TlsEngine

# Whom a TLS client talks to that has started its server itself: nobody with a name.
LOCAL_TARGET: Final = Target(UnixPath("a program"), None)


def variables(accepted: Accepted | None, engine: TlsEngine | None) -> Mapping[str, str]:
    """The variables of one connection; none where the program itself is the client (`accepted` is None). `engine` is
    the TLS of the client, where it is that by now."""
    if accepted is None:
        return {}
    client = accepted.client
    told = {
        # As stunnel says it of clients without an Internet address.
        "REMOTE_HOST": client.host if client is not None else "localhost",
        "REMOTE_PORT": str(client.port) if client is not None else "",
    }
    names = engine.peer_names() if engine is not None else None
    if names is not None:
        told["SSL_CLIENT_DN"], told["SSL_CLIENT_I_DN"] = names
    return told
