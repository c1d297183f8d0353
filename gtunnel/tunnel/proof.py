"""Names and passwords of clients: read when a service is compiled, checked while connections are served."""

from gtunnel.conf.settings import ServiceSettings
from gtunnel.tls.errors import TlsSetupError
from gtunnel.tls.setup import read_file
from gtunnel.tls.site import Site
from gtunnel.wire import socksusers
from gtunnel.wire.socksusers import Users


def load(settings: ServiceSettings, site: Site) -> Users | None:
    """The users of a SOCKS server; None where nobody is asked. Raises `TlsSetupError` for a file that is none."""
    file = settings.protocol.socks.users
    if file is None or settings.client:
        return None
    try:
        return socksusers.parse(read_file("socksUsers", file, site))
    except socksusers.UsersError as error:
        raise TlsSetupError(option="socksUsers", value=file, reason=f"{file} {error}") from error
