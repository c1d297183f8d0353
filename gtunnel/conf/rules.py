"""What has to hold between the options of one service: a list of small functions.

A rule says which options it looks at. Where one of them has a line that could not be used, the rule is left out: what
it would find is only the consequence of a problem that is reported already.
"""

from collections.abc import Callable, Iterator

from gtunnel.address import HostPort, UnixPath
from gtunnel.conf import options_access as access
from gtunnel.conf import options_capture as capture
from gtunnel.conf import options_program as program
from gtunnel.conf import options_protocol as protocol
from gtunnel.conf import options_proxy as proxy
from gtunnel.conf import options_service as service
from gtunnel.conf import options_sessions as sessions
from gtunnel.conf import options_socks as socks
from gtunnel.conf import options_tls as tls
from gtunnel.conf import options_verify as verify
from gtunnel.conf import rules_protocol
from gtunnel.conf.demands import demand, has_trust, version_bounds, versions_ascend
from gtunnel.conf.errors import Problem, Reason
from gtunnel.conf.option import Row
from gtunnel.conf.reader import SectionOutline
from gtunnel.conf.settings import Protocol
from gtunnel.conf.statements import Statement, Statements
from gtunnel.conf.table import find
from gtunnel.values import dataclass


@dataclass(frozen=True, slots=True)
class Draft:
    """A section on its way to become a service. `inetd`: there is none, and the connection is standard input."""

    section: SectionOutline
    statements: Statements
    inetd: bool = False

    def problem(self, reason: str, hint: str = "", at: Statement | None = None) -> Problem:
        """A problem of this service, at a line if it is that line's fault."""
        if at is None:
            mode = "Inetd mode: " if self.inetd else ""
            return Problem(self.section.place, self.section.text, f"{mode}{reason}", hint)
        return Problem(at.place, at.text, f"Service [{self.section.name}]: {reason}", hint)


@dataclass(frozen=True, slots=True)
class Rule:
    """`check` yields the problems of a service; it depends on the lines of `looks_at`, and on no other options."""

    looks_at: tuple[Row[object], ...]
    check: Callable[[Draft], Iterator[Problem]]


def check_service(draft: Draft) -> Iterator[Problem]:
    """All that is wrong between a service's options."""
    for rule in RULES:
        if not any(row is broken for row in rule.looks_at for broken in draft.section.broken):
            yield from rule.check(draft)


def _rows(*names: str) -> tuple[Row[object], ...]:
    return tuple(row for name in names if (row := find(name, in_section=True)))


def _endpoints(draft: Draft) -> Iterator[Problem]:
    """Two of them: where connections come from, and where they go."""
    if draft.inetd:
        yield from _inetd_endpoint(draft)
        return
    options = draft.statements
    virtual, accepts = _is_virtual(options), bool(options.all(service.ACCEPT))
    if accepts and virtual:
        hint = "a service that serves another one's names has no accept of its own"
        yield draft.problem(Reason.ENDPOINTS, hint, options.last(service.ACCEPT))
    ways = _ways_out(options)
    runs = options.last(program.EXEC)
    if runs is not None and (accepts or virtual or not ways):
        ways.append(("exec", "the program is where connections go", program.EXEC))
        runs = None
    # With connect and without accept, the program is the client.
    missing = [] if accepts or virtual or runs else ["accept is missing"]
    if not ways:
        missing.append("connect is missing")
    if missing:
        yield draft.problem(Reason.ENDPOINTS, ", ".join(missing))
    if len(ways) > 1:
        hint = f"{ways[0][1]}: remove {ways[1][0]}, or {ways[0][0]}"
        yield draft.problem(Reason.ENDPOINTS, hint, options.last(ways[-1][2]))


def _inetd_endpoint(draft: Draft) -> Iterator[Problem]:
    """One of them: where the connection goes. It comes from whoever has started us."""
    options = draft.statements
    line = options.last(service.ACCEPT)
    if line is not None:
        reason = "Inetd mode: 'accept' option is only allowed in a [section]"
        yield Problem(line.place, line.text, reason, "put [NAME] before the service's options")
        return
    ways = [name for name, _, _ in _ways_out(options)]
    if options.last(program.EXEC) is not None:
        ways.append("exec")
    if not ways:
        yield draft.problem(Reason.INETD_ENDPOINT, "there is no [section], and neither connect nor exec")
    elif len(ways) > 1:
        yield draft.problem(Reason.INETD_ENDPOINT, f"remove {ways[1]}, or {ways[0]}", options.last(program.EXEC))


def _inetd_limits(draft: Draft) -> Iterator[Problem]:
    line = draft.statements.last(access.MAX_CONNECTIONS_PER_IP)
    if draft.inetd and line is not None:
        yield Problem(line.place, line.text, Reason.INETD_LIMITS)


def _ways_out(options: Statements) -> list[tuple[str, str, Row[object]]]:
    """Where a service's connections go: the option, what it means, and its row. All that are written."""
    ways: list[tuple[str, str, Row[object]]] = []
    name = options.one(protocol.PROTOCOL)
    if name is not None and name.names_target and not options.one(service.CLIENT):
        ways.append(("protocol", "the client says where it wants to go", protocol.PROTOCOL))
    # A SOCKS server is told the destination that the client meant, so it has to be connected to.
    told = name is Protocol.SOCKS and options.one(service.CLIENT)
    if options.one(service.TRANSPARENT).destination and not told:
        ways.append(("transparent", "the destination comes from the connection", service.TRANSPARENT))
    if options.all(service.CONNECT):
        ways.append(("connect", "connect says where connections go", service.CONNECT))
    return ways


def _terminal_side(draft: Draft) -> Iterator[Problem]:
    options = draft.statements
    line = options.last(program.PTY)
    if options.one(program.EXEC) is None or not options.one(program.PTY):
        return
    serves = draft.inetd or bool(options.all(service.ACCEPT)) or _is_virtual(options)
    if serves is options.one(service.CLIENT):
        hint = "a terminal is no place for it: it changes and interprets bytes"
        yield draft.problem("with pty, the program would have to speak TLS", hint, line)


def _protocol_mode(draft: Draft) -> Iterator[Problem]:
    line, client = draft.statements.last(protocol.PROTOCOL), draft.statements.one(service.CLIENT)
    name = draft.statements.one(protocol.PROTOCOL)
    if name is not None and not (name.dials if client else name.serves):
        mode = "client" if client else "server"
        yield draft.problem(f"The '{name.value}' protocol is not supported in the {mode} mode", name.remedy, line)


def _redirect_protocol(draft: Draft) -> Iterator[Problem]:
    line, name = draft.statements.last(service.REDIRECT), draft.statements.one(protocol.PROTOCOL)
    if line is not None and name is not None and name.talks_first:
        hint = f"with {name.value} the target talks before the client has shown a certificate"
        yield draft.problem(Reason.REDIRECT_PROTOCOL, hint, line)


def _certificate(draft: Draft) -> Iterator[Problem]:
    options = draft.statements
    if not options.one(service.CLIENT) and options.one(tls.CERT) is None and options.one(tls.PSK_SECRETS) is None:
        yield draft.problem(Reason.CERTIFICATE, "give cert or PSKsecrets, or client = yes")


def _trust(draft: Draft) -> Iterator[Problem]:
    wanted = demand(draft.statements)
    if (wanted.chain or wanted.peer) and not has_trust(draft.statements):
        yield draft.problem(Reason.TRUST, at=draft.statements.last(*verify.DEMANDS))


def _subject_checks(draft: Draft) -> Iterator[Problem]:
    wanted, check = demand(draft.statements), draft.statements.last(*verify.CHECKS)
    if check is not None and not (wanted.chain or wanted.peer):
        yield draft.problem(Reason.SUBJECT_CHECKS, at=check)


def _versions(draft: Draft) -> Iterator[Problem]:
    low, high = version_bounds(draft.statements)
    if not versions_ascend(low, high):
        reason = f"{Reason.VERSION_RANGE}: {low.value} to {high.value}"
        yield draft.problem(reason, at=draft.statements.last(*tls.VERSION_OPTIONS))


def _is_virtual(options: Statements) -> bool:
    return not options.one(service.CLIENT) and bool(options.all(tls.SNI))


def _virtual_names(draft: Draft) -> Iterator[Problem]:
    if _is_virtual(draft.statements):
        for line in draft.statements.of(tls.SNI):
            primary, colon, pattern = str(line.value).partition(":")
            if not primary or not colon or not pattern:
                yield draft.problem(Reason.VIRTUAL_NAME, "sni = SERVICE:PATTERN is needed in server mode", line)
            elif "*" in pattern[1:]:
                yield draft.problem(Reason.VIRTUAL_NAME, "a pattern has a * at its beginning only", line)


def _redirect(draft: Draft) -> Iterator[Problem]:
    line, wanted = draft.statements.last(service.REDIRECT), demand(draft.statements)
    if line is not None and draft.statements.one(service.CLIENT):
        yield draft.problem(Reason.REDIRECT_CLIENT, at=line)
    elif line is not None and not (wanted.chain or wanted.peer):
        yield draft.problem(Reason.REDIRECT_CHECKS, at=line)


def _ticket_secrets(draft: Draft) -> Iterator[Problem]:
    lines = [draft.statements.last(option) for option in sessions.TICKET_SECRETS]
    if lines.count(None) == 1:
        yield draft.problem(Reason.TICKET_SECRETS, at=next(line for line in lines if line is not None))


def _capture_needs_destination(draft: Draft) -> Iterator[Problem]:
    line = draft.statements.last(capture.CAPTURE)
    if line is not None and not draft.statements.one(service.TRANSPARENT).destination:
        hint = "otherwise nobody asks where a captured connection was meant to go"
        yield draft.problem("capture needs transparent = destination or both", hint, line)


def _capture_needs_ports(draft: Draft) -> Iterator[Problem]:
    # Inherited lines are defaults for those services that do capture.
    line = draft.statements.own(*(row for row in capture.OPTIONS if row is not capture.CAPTURE))
    if line is not None and not draft.statements.all(capture.CAPTURE):
        yield draft.problem(f"{line.row.name} needs capture", "which ports are to be captured?", line)


def _capture_needs_listener(draft: Draft) -> Iterator[Problem]:
    line = draft.statements.last(capture.CAPTURE)
    accepted = draft.statements.all(service.ACCEPT)
    usable = any(isinstance(endpoint, HostPort) and endpoint.port for endpoint in accepted)
    if line is not None and accepted and not usable:
        yield draft.problem("capture needs an accept line with a TCP port", at=line)


def _destination_needs_tcp(draft: Draft) -> Iterator[Problem]:
    if draft.statements.one(service.TRANSPARENT).destination:
        for line in draft.statements.of(service.ACCEPT):
            if isinstance(line.value, UnixPath):
                yield draft.problem("a Unix socket's connections have no original destination", at=line)


RULES: tuple[Rule, ...] = (
    Rule(
        (
            service.ACCEPT,
            service.CLIENT,
            service.CONNECT,
            service.TRANSPARENT,
            tls.SNI,
            protocol.PROTOCOL,
            program.EXEC,
        ),
        _endpoints,
    ),
    Rule((access.MAX_CONNECTIONS_PER_IP,), _inetd_limits),
    Rule((service.CLIENT, tls.CERT, tls.PSK_SECRETS, *_rows("engineId", "engineNum")), _certificate),
    Rule((*verify.DEMANDS, *verify.TRUST, verify.CA_ENGINE), _trust),
    Rule((*verify.DEMANDS, *verify.CHECKS), _subject_checks),
    Rule(tls.VERSION_OPTIONS, _versions),
    Rule((service.CLIENT, tls.SNI), _virtual_names),
    Rule((service.CLIENT, service.REDIRECT, *verify.DEMANDS), _redirect),
    Rule((program.EXEC, program.PTY, service.ACCEPT, service.CLIENT, tls.SNI), _terminal_side),
    Rule((protocol.PROTOCOL, service.CLIENT), _protocol_mode),
    Rule((protocol.PROTOCOL, service.REDIRECT), _redirect_protocol),
    Rule((protocol.PROTOCOL, service.CLIENT, protocol.PROTOCOL_AUTHENTICATION), rules_protocol.authentication),
    Rule(
        (protocol.PROTOCOL, service.CLIENT, protocol.PROTOCOL_USERNAME, protocol.PROTOCOL_PASSWORD),
        rules_protocol.both_credentials,
    ),
    Rule((protocol.PROTOCOL, protocol.PROTOCOL_HOST, service.CLIENT), rules_protocol.destination),
    Rule((protocol.PROTOCOL, protocol.PROTOCOL_HOST, service.CLIENT), rules_protocol.greeting_name),
    Rule((*protocol.OPTIONS, service.CLIENT), rules_protocol.credentials),
    Rule((*protocol.OPTIONS, service.CLIENT), rules_protocol.basic_name),
    Rule((proxy.PROXY_VERSION, protocol.PROTOCOL), rules_protocol.proxy_version),
    Rule((proxy.ACCEPT_PROXY, service.ACCEPT), rules_protocol.accept_proxy),
    Rule((*socks.OPTIONS, protocol.PROTOCOL, service.CLIENT), rules_protocol.socks_server),
    Rule(sessions.TICKET_SECRETS, _ticket_secrets),
    Rule((capture.CAPTURE, service.TRANSPARENT), _capture_needs_destination),
    Rule(capture.OPTIONS, _capture_needs_ports),
    Rule((capture.CAPTURE, service.ACCEPT), _capture_needs_listener),
    Rule((service.ACCEPT, service.TRANSPARENT), _destination_needs_tcp),
)
