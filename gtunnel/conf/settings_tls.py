"""What a configuration says about TLS: its part of `settings`, from where everybody takes it."""

import enum
from dataclasses import field

from gtunnel.address import HttpUrl
from gtunnel.values import dataclass


class TlsVersion(enum.Enum):
    """Protocol versions that `sslVersion*` name. ALL means no bound."""

    ALL = "all"
    SSLV3 = "SSLv3"
    TLSV1 = "TLSv1"
    TLSV1_1 = "TLSv1.1"
    TLSV1_2 = "TLSv1.2"
    TLSV1_3 = "TLSv1.3"


class OcspFlag(enum.Enum):
    """`OCSPflag`: OpenSSL's names without OCSP_. What each means when an answer is judged is in tls/ocsp/judgement."""

    NOCERTS = "NOCERTS"
    NOINTERN = "NOINTERN"
    NOSIGS = "NOSIGS"
    NOCHAIN = "NOCHAIN"
    NOVERIFY = "NOVERIFY"
    NOEXPLICIT = "NOEXPLICIT"
    NOCASIGN = "NOCASIGN"
    NODELEGATED = "NODELEGATED"
    NOCHECKS = "NOCHECKS"
    TRUSTOTHER = "TRUSTOTHER"
    RESPID_KEY = "RESPID_KEY"
    NOTIME = "NOTIME"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """What we offer and present. Paths are as written in the file.

    `options` are names without SSL_OP_ and whether to set (True) or clear them, in order. `sni` is the client's server
    name: None for the default (the host connected to), "" for none. `ciphersuites` and `curves` may be None: OpenSSL's.
    `psk_identity` None means the first one of the file. `keylog` is a file for the secrets of all connections.
    """

    cert: str | None
    key: str | None
    ciphers: str
    ciphersuites: str | None
    curves: str | None
    version_min: TlsVersion
    version_max: TlsVersion
    security_level: int
    options: tuple[tuple[str, bool], ...]
    commands: tuple[tuple[str, str | None], ...]  # `config`, each with its parameter
    renegotiation: bool
    engine_id: str | None
    engine_number: int | None
    sni: str | None
    psk_secrets: str | None
    psk_identity: str | None
    keylog: str | None


@dataclass(frozen=True, slots=True)
class TicketSecrets:
    """`ticketKeySecret` and `ticketMacSecret`: 16 or 32 bytes each."""

    key: bytes = field(repr=False)
    mac: bytes = field(repr=False)


class SessionServerKind(enum.Enum):
    """How a server that keeps sessions is spoken to."""

    SESSIOND = "sessiond"
    REDIS = "redis"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionServer:
    """`sessiond`: stunnel's UDP service, or a redis server (`url` as written, with its password)."""

    kind: SessionServerKind
    host: str
    port: int
    url: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"{self.kind.value} at {self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """Resumption. `size` is a number of sessions (0: as many as there is room for), `seconds` how long one is good."""

    resume: bool
    size: int
    seconds: float
    server: SessionServer | None
    ticket_secrets: TicketSecrets | None


@dataclass(frozen=True, slots=True)
class VirtualName:
    """One `sni = PRIMARY:PATTERN`: the names of the primary service's clients that another service serves.

    `pattern` is a server name, or what one has to end with after a `*`.
    """

    primary: str
    pattern: str

    def matches(self, server_name: str) -> bool:
        """Whether a client that asks for this name is meant (names in any case)."""
        pattern, name = self.pattern.lower(), server_name.lower()
        return name.endswith(pattern[1:]) if pattern.startswith("*") else name == pattern


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineCertificates:
    """`CAengine`: certificates by what the engine calls them, and which engine (`engineId`, or `engineNum` from 1)."""

    engine_id: str | None
    engine_number: int | None
    identifiers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationSettings:
    """What we demand of the peer's certificate.

    `request` asks for a certificate, `require` fails without one, `chain` wants it to lead to a trusted CA, `peer`
    wants it to be among the certificates of `ca_file` / `ca_path`. `ca_store` is a URI. `crl_file` and `crl_path` hold
    revocation lists. The three check lists are any-of over all their
    entries.
    """

    request: bool
    require: bool
    chain: bool
    peer: bool
    ca_file: str | None
    ca_path: str | None
    ca_store: str | None
    ca_engine: EngineCertificates | None
    crl_file: str | None
    crl_path: str | None
    hosts: tuple[str, ...]
    ips: tuple[str, ...]
    emails: tuple[str, ...]

    @property
    def convincing(self) -> bool:
        """Whether a peer has to prove who it is at all."""
        return self.chain or self.peer


@dataclass(frozen=True, slots=True, kw_only=True)
class OcspSettings:
    """Whom to ask whether a certificate was revoked: the responder `url`, and with `aia` those that certificates name.

    `nonce` demands an answer to this very question, `require` a conclusive one; `seconds` is TIMEOUTocsp.
    """

    url: HttpUrl | None
    aia: bool
    flags: frozenset[OcspFlag]
    nonce: bool
    require: bool
    seconds: float

    @property
    def asks(self) -> bool:
        """Whether any responder is to be asked."""
        return self.aia or self.url is not None
