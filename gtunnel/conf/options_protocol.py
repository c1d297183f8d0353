"""Options of the negotiation that comes before TLS, or right after it (manual, option protocol)."""

import re
from typing import Final

from gtunnel.conf.option import BadValueError, Scope, Single, Topic
from gtunnel.conf.parsers import choice, text_of
from gtunnel.conf.settings import Protocol

# RFC 9110, section 5: a name that is a token, and a value without control characters.
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\x00-\x08\x0a-\x1f\x7f]*")
_header_text = text_of("a header")


def http_header(text: str) -> str:
    """Parse `Name: value`. The value may be a secret, so no reason shows it."""
    if _HEADER.fullmatch(_header_text(text)) is None:
        raise BadValueError("a header is NAME: VALUE")
    return text


# Of the manual, but of one application that is long gone, and nobody can try them.
_ABANDONED: Final = frozenset({"capwin", "capwinctrl"})
_protocol_named = choice(Protocol, "There is no such protocol")


def protocol_name(text: str) -> Protocol:
    """Parse a protocol's name."""
    if text.lower() in _ABANDONED:
        raise BadValueError("gtunnel does not speak this protocol (http://www.capwin.org/)")
    return _protocol_named(text)


PROTOCOL = Single[Protocol | None](
    name="protocol",
    scope=Scope.SERVICE,
    parse=protocol_name,
    default=None,
    metavar="PROTOCOL",
    help="protocol to negotiate TLS in",
    topic=Topic.PROTOCOLS,
    more=(
        "For protocols that begin in plaintext and change to TLS on the same port: `protocol = smtp`, `imap` and "
        "`pop3` (STARTTLS), `pgsql` (PostgreSQL) and `cifs` in both modes, `nntp` and `ldap` in client mode. Not for "
        "TLS from the first byte on a port of its own, which is what happens without this option. What was said in "
        "plaintext never counts as said under TLS; bytes that are in its way end the connection. "
        "`protocol = connect` (client mode) reaches a TLS server, named by `protocolHost`, through the HTTP proxy that "
        "`connect` names. `protocol = proxy` (server mode) tells the target who the client is, in the first version of "
        "HAProxy's PROXY protocol. `protocol = socks` is SOCKS 4, 4a and 5 inside TLS: a server connects its clients "
        "to whom they name (see `socksTargets`), names resolved here, and has no `connect`; a client asks the "
        "SOCKS server that it connects to for `protocolHost`, or for the address that its client was going to before "
        "the firewall redirected the connection here."
    ),
)
PROTOCOL_AUTHENTICATION = Single[str | None](
    name="protocolAuthentication",
    scope=Scope.SERVICE,
    parse=str.lower,
    default=None,
    metavar="TYPE",
    help="how to authenticate in the negotiation",
    more=(
        "In client mode, with `protocolUsername` and `protocolPassword`. `protocol = smtp` knows `plain` (the default) "
        "and `login`, both under TLS; `protocol = connect` knows `basic` (the default) and `ntlm`. Other types are "
        "refused at start."
    ),
)
PROTOCOL_DOMAIN = Single[str | None](
    name="protocolDomain",
    scope=Scope.SERVICE,
    parse=text_of("a domain"),
    default=None,
    metavar="DOMAIN",
    help="domain for the negotiation",
    more="For `protocol = connect` with `protocolAuthentication = ntlm`: the domain of the user.",
)
PROTOCOL_HEADER = Single[str | None](
    name="protocolHeader",
    scope=Scope.SERVICE,
    parse=http_header,
    default=None,
    metavar="HEADER",
    help="additional header for the negotiation",
    secret=True,
    more="For `protocol = connect`, sent to the proxy with each request, such as `protocolHeader = User-Agent: me`.",
)
PROTOCOL_HOST = Single[str | None](
    name="protocolHost",
    scope=Scope.SERVICE,
    parse=text_of("a host"),
    default=None,
    metavar="HOST[:PORT]",
    help="destination that the negotiation names",
    more=(
        "In client mode. `protocol = connect` and `protocol = socks`: the destination that the proxy is asked for. "
        "`protocol = smtp`: our name for EHLO, `localhost` by default."
    ),
)
PROTOCOL_PASSWORD = Single[str | None](
    name="protocolPassword",
    scope=Scope.SERVICE,
    parse=text_of("a password"),
    default=None,
    metavar="PASSWORD",
    help="password for the negotiation",
    more="See `protocolUsername`. It is in no log; `chmod 600` the file that it is in.",
    secret=True,
)
PROTOCOL_USERNAME = Single[str | None](
    name="protocolUsername",
    scope=Scope.SERVICE,
    parse=text_of("a name"),
    default=None,
    metavar="USER",
    help="user name for the negotiation",
    more=(
        "In client mode, together with `protocolPassword`: `protocol = smtp` logs in under TLS before its client is "
        "greeted, `protocol = connect` shows it to the HTTP proxy, `protocol = socks` to the SOCKS server. Whoever "
        "reaches the service then acts in this name."
    ),
)

# Those that say more about a negotiation than which one it is.
DETAILS = (
    PROTOCOL_AUTHENTICATION,
    PROTOCOL_DOMAIN,
    PROTOCOL_HEADER,
    PROTOCOL_HOST,
    PROTOCOL_PASSWORD,
    PROTOCOL_USERNAME,
)
OPTIONS = (PROTOCOL, *DETAILS)
