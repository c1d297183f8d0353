"""Which negotiation belongs to which name (manual, option protocol)."""

from collections.abc import Callable
from functools import partial

from gtunnel.conf.settings import Protocol, ProtocolSettings
from gtunnel.wire import cifs, connect, imap, ldap, nntp, pgsql, plain, pop3, proxy, smtp, socks
from gtunnel.wire.steps import Negotiation, Scene

Negotiator = Callable[[ProtocolSettings, Scene], Negotiation]

SERVERS: dict[Protocol | None, Negotiator] = {
    None: plain.server,
    Protocol.CIFS: cifs.server,
    Protocol.IMAP: imap.server,
    Protocol.PGSQL: pgsql.server,
    Protocol.POP3: pop3.server,
    Protocol.PROXY: proxy.server,
    Protocol.SMTP: smtp.server,
    Protocol.SOCKS: socks.server,
}
CLIENTS: dict[Protocol | None, Negotiator] = {
    None: plain.client,
    Protocol.CIFS: cifs.client,
    Protocol.IMAP: imap.client,
    Protocol.LDAP: ldap.client,
    Protocol.NNTP: nntp.client,
    Protocol.PGSQL: pgsql.client,
    Protocol.POP3: pop3.client,
    Protocol.CONNECT: connect.client,
    Protocol.SMTP: smtp.client,
    Protocol.SOCKS: socks.client,
}


def negotiator(settings: ProtocolSettings, *, client: bool) -> Callable[[Scene], Negotiation]:
    """How connections of a service are negotiated. The configuration's rules let only pairs through that are here."""
    return partial((CLIENTS if client else SERVERS)[settings.name], settings)
