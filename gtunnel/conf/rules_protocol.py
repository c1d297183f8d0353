"""What has to hold between the options of application protocols."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from gtunnel.address import HostPort, UnixPath, parse_endpoint
from gtunnel.conf import options_protocol as protocol
from gtunnel.conf import options_proxy as proxy
from gtunnel.conf import options_service as service
from gtunnel.conf import options_socks as socks
from gtunnel.conf.errors import Problem
from gtunnel.conf.parsers import MAX_HOST, alternatives
from gtunnel.conf.settings import Protocol
from gtunnel.errors import AddressError

if TYPE_CHECKING:
    from gtunnel.conf.rules import Draft

# RFC 1929: one byte says how long each is.
MAX_SOCKS_CREDENTIAL: Final = 255
_GREETING_NAME: Final = re.compile(r"[0-9A-Za-z._:\[\]-]{1,255}")


def destination(draft: "Draft") -> Iterator[Problem]:
    """`protocolHost`, where it is a destination."""
    options = draft.statements
    name, host = options.one(protocol.PROTOCOL), options.one(protocol.PROTOCOL_HOST)
    if name is None or not name.names_destination or not options.one(service.CLIENT):
        return
    if host is None:
        if name is Protocol.CONNECT:
            hint = "protocolHost = HOST:PORT says whom the proxy is to connect us to"
            yield draft.problem("protocolHost is needed", hint, options.last(protocol.PROTOCOL))
        return
    reason = _destination_problem(host)
    if reason:
        yield draft.problem(reason, "HOST:PORT is needed", options.last(protocol.PROTOCOL_HOST))


def greeting_name(draft: "Draft") -> Iterator[Problem]:
    """`protocolHost`, where it is a name for EHLO: RFC 5321, section 4.1.1.1, has no spaces in it."""
    options = draft.statements
    line, host = options.last(protocol.PROTOCOL_HOST), options.one(protocol.PROTOCOL_HOST)
    is_name = options.one(protocol.PROTOCOL) is Protocol.SMTP and options.one(service.CLIENT)
    if is_name and host is not None and _GREETING_NAME.fullmatch(host) is None:
        yield draft.problem("a name for EHLO is a host's name, or an address in brackets", at=line)


def _destination_problem(text: str) -> str:
    try:
        target = parse_endpoint(text)
    except AddressError as error:
        return str(error)
    if not isinstance(target, HostPort) or not target.host:
        return "a destination has a host and a port"
    if not target.port:
        return "port 0 cannot be connected to"
    if target.literal is None:
        try:
            fits = len(target.host.encode("idna")) <= MAX_HOST
        except UnicodeError:
            fits = False
        if not fits:
            return f"{target.host!r} is not a host name"
    return ""


def basic_name(draft: "Draft") -> Iterator[Problem]:
    """RFC 7617, section 2: what is behind a colon would be the password's beginning."""
    options = draft.statements
    line, name = options.last(protocol.PROTOCOL_USERNAME), options.one(protocol.PROTOCOL_USERNAME)
    is_proxy = options.one(protocol.PROTOCOL) is Protocol.CONNECT and options.one(service.CLIENT)
    if is_proxy and options.one(protocol.PROTOCOL_AUTHENTICATION) in {None, "basic"} and name and ":" in name:
        yield draft.problem("basic authentication cannot say a name with a colon", at=line)


def credentials(draft: "Draft") -> Iterator[Problem]:
    """User name and password as SOCKS can say them."""
    options = draft.statements
    if options.one(protocol.PROTOCOL) is not Protocol.SOCKS or not options.one(service.CLIENT):
        return
    for row in (protocol.PROTOCOL_USERNAME, protocol.PROTOCOL_PASSWORD):
        value = options.one(row)
        if value is not None and len(value.encode()) > MAX_SOCKS_CREDENTIAL:
            yield draft.problem(f"longer than {MAX_SOCKS_CREDENTIAL} bytes", at=options.last(row))


def socks_server(draft: "Draft") -> Iterator[Problem]:
    """What guards a SOCKS server guards nothing else. Inherited lines are for those services that are one."""
    options = draft.statements
    is_server = options.one(protocol.PROTOCOL) is Protocol.SOCKS and not options.one(service.CLIENT)
    line = options.own(*socks.OPTIONS)
    if line is not None and not is_server:
        yield draft.problem(f"{line.row.name} needs protocol = socks, in server mode", at=line)


def authentication(draft: "Draft") -> Iterator[Problem]:
    options = draft.statements
    line, name = options.last(protocol.PROTOCOL_AUTHENTICATION), options.one(protocol.PROTOCOL)
    if line is None or name is None:
        return
    allowed = name.uses(client=options.one(service.CLIENT)).authentications
    if allowed and line.value not in allowed:
        yield draft.problem(f"{name.value} authenticates as {alternatives(*allowed)}", at=line)


def both_credentials(draft: "Draft") -> Iterator[Problem]:
    """Half of them would be none: the negotiation would go on without, and nobody would know why it is refused."""
    options = draft.statements
    lines = [options.last(row) for row in (protocol.PROTOCOL_USERNAME, protocol.PROTOCOL_PASSWORD)]
    name = options.one(protocol.PROTOCOL)
    if name is not None and "protocolUsername" in name.uses(client=options.one(service.CLIENT)).options:
        given = [line for line in lines if line is not None]
        if len(given) == 1:
            yield draft.problem("protocolUsername and protocolPassword belong together", at=given[0])


def proxy_version(draft: "Draft") -> Iterator[Problem]:
    """It is about the header that is sent."""
    line = draft.statements.own(proxy.PROXY_VERSION)
    if line is not None and draft.statements.one(protocol.PROTOCOL) is not Protocol.PROXY:
        yield draft.problem("proxyVersion needs protocol = proxy", "acceptProxy takes both versions", line)


def accept_proxy(draft: "Draft") -> Iterator[Problem]:
    """Who sends a header is known by its address."""
    line = draft.statements.own(proxy.ACCEPT_PROXY)
    if line is not None and any(isinstance(endpoint, UnixPath) for endpoint in draft.statements.all(service.ACCEPT)):
        yield draft.problem("a Unix socket's clients have no address", "acceptProxy needs accept = [HOST:]PORT", line)
