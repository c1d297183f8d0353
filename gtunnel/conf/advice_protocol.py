"""What `advice` says of a service's protocol."""

from collections.abc import Iterator

from gtunnel.conf.options_protocol import DETAILS
from gtunnel.conf.settings import Configuration, Protocol, ServiceSettings

Finding = tuple[str, str]


def unused_options(service: ServiceSettings, _: Configuration) -> Iterator[Finding]:
    """stunnel accepts what the protocol, or its mode, makes nothing of."""
    protocol = service.protocol
    name = protocol.name
    used = frozenset[str]() if name is None else name.uses(client=service.client).options
    mode = "client" if service.client else "server"
    for row in DETAILS:
        line = service.lines.last(row.name)
        if line is not None and row.name not in used:
            why = (
                "there is no protocol" if name is None else f"protocol = {name.value} in {mode} mode has no use for it"
            )
            yield f"{row.name} ({line.place}) does nothing: {why}", "remove the line"
    if "protocolAuthentication" in used and protocol.authentication is not None and protocol.username is None:
        yield "protocolAuthentication does nothing without a name", "set protocolUsername and protocolPassword"


def unused_lines_of_virtual_services(service: ServiceSettings, configuration: Configuration) -> Iterator[Finding]:
    """The primary's negotiation has begun, and perhaps connected, before the client names a server (manual, sni)."""
    primaries = {name.primary for name in service.virtual_names}
    for primary in configuration.services:
        if primary.section not in primaries:
            continue
        if service.protocol.proxy.senders and service.protocol.proxy.senders != primary.protocol.proxy.senders:
            yield f"its acceptProxy is not used, but that of [{primary.section}]", "move the line there"
        name = primary.protocol.name
        if name is not None and name.talks_first and service.connect.targets:
            why = f"protocol = {name.value} of [{primary.section}] connects before the client names a server"
            yield f"its connect is not used: {why}", "give it a port of its own"
        if name is not None and name.talks_first and service.redirect:
            why = f"protocol = {name.value} of [{primary.section}] connects before the client shows a certificate"
            yield f"its redirect is not used, and whom it is for is refused: {why}", "give it a port of its own"
        if not service.protocol.begins_with_tls and service.protocol.name is not name:
            yield "its protocol is not used: it begins before the client names a server", "give it a port of its own"
        elif service.protocol.name not in {None, name} and not primary.protocol.begins_with_tls:
            yield f"its protocol is not used, but that of [{primary.section}]", "remove the line"


def open_socks(service: ServiceSettings, _: Configuration) -> Iterator[Finding]:
    """Whoever gets in is where this machine is: in its networks, with its address."""
    protocol = service.protocol
    if service.client or protocol.name is not Protocol.SOCKS:
        return
    if not protocol.socks.targets:
        text = "clients may have themselves connected to any address that this machine reaches, internal ones too"
        yield text, "say which ones with socksTargets (socksTargets = allow * for all)"
    proved = service.verification.convincing and service.verification.require
    if not proved and protocol.socks.users is None and service.tls.psk_secrets is None:
        remedy = "set verifyChain = yes, requireCert = yes and CAfile, or socksUsers"
        yield "anybody may use this SOCKS server: clients prove nothing", remedy
    if protocol.socks.udp is not None:
        yield "datagrams of clients are not inside TLS (socksUdp)", "use it in trusted networks only, or leave it out"


def believed_headers(service: ServiceSettings, _: Configuration) -> Iterator[Finding]:
    """Whoever may say who the client is can be any client."""
    if any(network.prefixlen == 0 for network in service.protocol.proxy.senders):
        yield "everybody can claim to be any address (acceptProxy)", "name the addresses of your load balancers"
