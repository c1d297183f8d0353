"""From statements that fit together to frozen settings. No check is made here."""

from itertools import chain

from gtunnel.address import Endpoint, HostPort
from gtunnel.conf import options_access as access
from gtunnel.conf import options_capture as capture
from gtunnel.conf import options_global as process
from gtunnel.conf import options_library as library
from gtunnel.conf import options_net as net
from gtunnel.conf import options_ocsp as ocsp
from gtunnel.conf import options_program as program
from gtunnel.conf import options_protocol as protocol
from gtunnel.conf import options_proxy as proxy
from gtunnel.conf import options_service as service
from gtunnel.conf import options_sessions as sessions
from gtunnel.conf import options_socks as socks
from gtunnel.conf import options_tls as tls
from gtunnel.conf import options_verify as verify
from gtunnel.conf.demands import demand, version_bounds
from gtunnel.conf.reader import Outline, SectionOutline
from gtunnel.conf.settings import (
    AccessSettings,
    CaptureSettings,
    Configuration,
    ConnectSettings,
    EngineCertificates,
    Failover,
    LibrarySettings,
    LogOutput,
    LogSettings,
    NetSettings,
    OcspSettings,
    OptionLine,
    ProcessSettings,
    ProgramSettings,
    ProtocolSettings,
    ProxySettings,
    ServiceSettings,
    SessionSettings,
    SocketOwner,
    SocksSettings,
    TicketSecrets,
    Timeouts,
    TlsSettings,
    VerificationSettings,
    VirtualName,
)
from gtunnel.conf.socketoptions import group_by_side
from gtunnel.conf.statements import Statements


def build_configuration(outline: Outline, services: tuple[ServiceSettings, ...]) -> Configuration:
    """The whole configuration, from the process' statements and the finished services."""
    statements = Statements(outline.process)
    mark, mask = statements.one(net.NET_MARK)
    return Configuration(
        file=outline.file,
        log=statements.one(process.DEBUG),
        output=LogOutput(
            file=statements.one(process.OUTPUT),
            mode=statements.one(process.LOG),
            syslog=statements.one(process.SYSLOG),
            ident=statements.one(process.SERVICE_IDENT),
            foreground=statements.one(process.FOREGROUND),
            access=statements.one(process.ACCESS_LOG),
        ),
        process=ProcessSettings(
            chroot=statements.one(process.CHROOT),
            user=statements.one(process.SETUID),
            group=statements.one(process.SETGID),
            pid_file=statements.one(process.PID),
            workers=statements.one(process.WORKERS),
            reload_certs=statements.one(process.RELOAD_CERTS),
            control=statements.one(process.CONTROL),
            control_group=statements.one(process.CONTROL_GROUP),
            drain_timeout=statements.one(process.DRAIN_TIMEOUT),
            max_connections=statements.one(access.PROCESS_MAX_CONNECTIONS),
        ),
        net=NetSettings(
            backend=statements.one(net.NET_BACKEND),
            mark=mark,
            mask=mask,
            table=statements.one(net.NET_TABLE),
            priority=statements.one(net.NET_PRIORITY),
            name=statements.one(net.NET_NAME),
        ),
        library=LibrarySettings(
            steps=tuple(
                OptionLine(line.row.name, line.value, line.place, line.text) for line in statements.of(*library.STEPS)
            ),
            seed_file=statements.one(library.RND_FILE),
            seed_bytes=statements.one(library.RND_BYTES),
            overwrite_seed=statements.one(library.RND_OVERWRITE),
        ),
        services=services,
        notes=tuple(outline.notes),
        environment=statements.all(program.SET_ENV),
    )


def build_service(
    section: SectionOutline, statements: Statements, log: LogSettings, *, inetd: bool = False
) -> ServiceSettings:
    """One service. `log` is the process' log, whose level holds unless the service has its own."""
    level = statements.one(service.DEBUG)
    return ServiceSettings(
        name=statements.one(service.SERVICE_NAME) or section.name,
        section=section.name,
        place=section.place,
        client=statements.one(service.CLIENT),
        accept=_listeners(statements.all(service.ACCEPT)),
        connect=_connect(statements),
        protocol=_protocol(statements),
        access=AccessSettings(
            libwrap=statements.one(access.LIBWRAP),
            ident=statements.one(access.IDENT),
            connections=statements.one(access.SERVICE_MAX_CONNECTIONS),
            per_ip=statements.one(access.MAX_CONNECTIONS_PER_IP),
        ),
        socket_owner=SocketOwner(
            user=statements.one(access.SOCKET_OWNER), group=statements.one(access.SOCKET_GROUP)
        ),
        program=_program(statements),
        transparency=statements.one(service.TRANSPARENT),
        capture=_capture(statements),
        tls=_tls(statements),
        verification=_verification(statements),
        sessions=_sessions(statements),
        redirect=statements.all(service.REDIRECT),
        virtual_names=_virtual_names(statements),
        ocsp=_ocsp(statements),
        timeouts=Timeouts(
            busy=statements.one(service.TIMEOUT_BUSY),
            close=statements.one(service.TIMEOUT_CLOSE),
            connect=statements.one(service.TIMEOUT_CONNECT),
            idle=statements.one(service.TIMEOUT_IDLE),
            handshake=statements.one(access.HANDSHAKE_TIMEOUT),
        ),
        sockets=group_by_side(statements.all(service.SOCKET)),
        reset=statements.one(service.RESET),
        log_id=statements.one(service.LOG_ID),
        log=log if level is None else LogSettings(level=level, facility=log.facility),
        inetd=inetd,
        lines=statements.lines,
    )


def _listeners(endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    """Without repetitions: a line said twice is no second socket. With port 0 it is: each gets a port of its own."""
    kept: list[Endpoint] = []
    seen: set[Endpoint] = set()
    for endpoint in endpoints:
        any_port = isinstance(endpoint, HostPort) and endpoint.port == 0
        if any_port or endpoint not in seen:
            kept.append(endpoint)
            seen.add(endpoint)
    return tuple(kept)


def _connect(statements: Statements) -> ConnectSettings:
    delay = statements.one(service.DELAY)
    return ConnectSettings(
        targets=statements.all(service.CONNECT),
        # There is nothing to take in turn as long as the addresses are not known (manual, option delay).
        failover=Failover.PRIO if delay else statements.one(service.FAILOVER),
        delay=delay,
        local=statements.one(service.LOCAL),
    )


def _protocol(statements: Statements) -> ProtocolSettings:
    return ProtocolSettings(
        name=statements.one(protocol.PROTOCOL),
        authentication=statements.one(protocol.PROTOCOL_AUTHENTICATION),
        domain=statements.one(protocol.PROTOCOL_DOMAIN),
        header=statements.one(protocol.PROTOCOL_HEADER),
        host=statements.one(protocol.PROTOCOL_HOST),
        password=statements.one(protocol.PROTOCOL_PASSWORD),
        username=statements.one(protocol.PROTOCOL_USERNAME),
        proxy=ProxySettings(version=statements.one(proxy.PROXY_VERSION), senders=statements.all(proxy.ACCEPT_PROXY)),
        socks=SocksSettings(
            users=statements.one(socks.SOCKS_USERS),
            targets=statements.all(socks.SOCKS_TARGETS),
            bind=statements.one(socks.SOCKS_BIND),
            udp=statements.one(socks.SOCKS_UDP),
        ),
    )


def _program(statements: Statements) -> ProgramSettings | None:
    path = statements.one(program.EXEC)
    if path is None:
        return None
    return ProgramSettings(
        path=path,
        arguments=statements.one(program.EXEC_ARGS) or (path,),
        pty=statements.one(program.PTY),
        retry=statements.one(program.RETRY),
    )


def _capture(statements: Statements) -> CaptureSettings | None:
    line = statements.last(capture.CAPTURE)
    if line is None:
        return None
    return CaptureSettings(
        ports=tuple(dict.fromkeys(chain.from_iterable(statements.all(capture.CAPTURE)))),
        interfaces=tuple(dict.fromkeys(chain.from_iterable(statements.all(capture.CAPTURE_INTERFACE)))),
        from_networks=tuple(dict.fromkeys(chain.from_iterable(statements.all(capture.CAPTURE_FROM)))),
        to_networks=tuple(dict.fromkeys(chain.from_iterable(statements.all(capture.CAPTURE_TO)))),
        exclude=tuple(dict.fromkeys(chain.from_iterable(statements.all(capture.CAPTURE_EXCLUDE)))),
        local=statements.one(capture.CAPTURE_LOCAL),
        method=statements.one(capture.CAPTURE_METHOD),
        fail_closed=statements.one(capture.CAPTURE_FAIL_CLOSED),
        place=line.place,
    )


def _tls(statements: Statements) -> TlsSettings:
    cert = statements.one(tls.CERT)
    low, high = version_bounds(statements)
    return TlsSettings(
        cert=cert,
        # A key without a certificate proves nothing: stunnel leaves it alone as well.
        key=None if cert is None else statements.one(tls.KEY) or cert,
        ciphers=statements.one(tls.CIPHERS),
        ciphersuites=statements.one(tls.CIPHERSUITES),
        curves=statements.one(tls.CURVES),
        version_min=low,
        version_max=high,
        security_level=statements.one(tls.SECURITY_LEVEL),
        options=statements.all(tls.OPTIONS_LINE),
        commands=statements.all(tls.CONFIG),
        renegotiation=statements.one(tls.RENEGOTIATION),
        engine_id=statements.one(library.ENGINE_ID),
        engine_number=statements.one(library.ENGINE_NUM),
        sni=_client_sni(statements),
        psk_secrets=statements.one(tls.PSK_SECRETS),
        psk_identity=statements.one(tls.PSK_IDENTITY),
        keylog=statements.one(tls.KEYLOG),
    )


def _client_sni(statements: Statements) -> str | None:
    names = statements.all(tls.SNI) if statements.one(service.CLIENT) else ()
    return names[-1] if names else None


def _virtual_names(statements: Statements) -> tuple[VirtualName, ...]:
    if statements.one(service.CLIENT):
        return ()
    parts = (line.partition(":") for line in statements.all(tls.SNI))
    return tuple(VirtualName(primary, pattern) for primary, _, pattern in parts)


def _sessions(statements: Statements) -> SessionSettings:
    key, mac = statements.one(sessions.TICKET_KEY_SECRET), statements.one(sessions.TICKET_MAC_SECRET)
    return SessionSettings(
        resume=statements.one(sessions.SESSION_RESUME),
        size=statements.one(sessions.SESSION_CACHE_SIZE),
        seconds=statements.one(sessions.SESSION_CACHE_TIMEOUT),
        server=statements.one(sessions.SESSIOND),
        ticket_secrets=None if key is None or mac is None else TicketSecrets(key, mac),
    )


def _verification(statements: Statements) -> VerificationSettings:
    wanted = demand(statements)
    return VerificationSettings(
        request=bool(wanted.request),
        require=bool(wanted.require),
        chain=bool(wanted.chain),
        peer=bool(wanted.peer),
        ca_file=statements.one(verify.CA_FILE),
        ca_path=statements.one(verify.CA_PATH),
        ca_store=statements.one(verify.CA_STORE),
        ca_engine=_engine_certificates(statements),
        crl_file=statements.one(verify.CRL_FILE),
        crl_path=statements.one(verify.CRL_PATH),
        hosts=statements.all(verify.CHECK_HOST),
        ips=statements.all(verify.CHECK_IP),
        emails=statements.all(verify.CHECK_EMAIL),
    )


def _engine_certificates(statements: Statements) -> EngineCertificates | None:
    identifiers = statements.all(verify.CA_ENGINE)
    if not identifiers:
        return None
    return EngineCertificates(
        engine_id=statements.one(library.ENGINE_ID),
        engine_number=statements.one(library.ENGINE_NUM),
        identifiers=identifiers,
    )


def _ocsp(statements: Statements) -> OcspSettings:
    return OcspSettings(
        url=statements.one(ocsp.OCSP),
        aia=statements.one(ocsp.OCSP_AIA),
        flags=frozenset(statements.all(ocsp.OCSP_FLAG)),
        nonce=statements.one(ocsp.OCSP_NONCE),
        require=statements.one(ocsp.OCSP_REQUIRE),
        seconds=statements.one(ocsp.TIMEOUT_OCSP),
    )
