"""`config`: what commands do, in both ways that they are executed."""

from collections.abc import Callable
from functools import partial

import pytest
from OpenSSL import SSL

from gtunnel.tls import commands, context
from gtunnel.tls.errors import TlsSetupError
from gtunnel.tls.openssl import native, options
from tests.gtunnel.tls.pairs import client, met, presenting, server, service
from tests.support.certificates import Pki

Way = Callable[..., None]


def _executed(ssl_context: SSL.Context, command: commands.Command) -> None:
    commands._let_openssl(ssl_context, (command,), client=False)


@pytest.fixture(params=["emulated", "executed"])
def way(request: pytest.FixtureRequest) -> Way:
    """`way(context, command)`: by bound functions, and by OpenSSL itself where that can be had."""
    if request.param == "executed" and not native.SHARED:
        pytest.skip("this OpenSSL is linked statically into the bindings")
    return commands.emulate if request.param == "emulated" else _executed


def refusal(*lines: str) -> str:
    with pytest.raises(TlsSetupError) as caught:
        context.build(service(*lines))
    return str(caught.value)


@pytest.mark.parametrize(
    ("parameter", "names"),
    [
        ("-SessionTicket", {"NO_TICKET"}),
        ("ServerPreference,PrioritizeChaCha", {"CIPHER_SERVER_PREFERENCE", "PRIORITIZE_CHACHA"}),
        ("+serverpreference, -encryptthenmac", {"CIPHER_SERVER_PREFERENCE", "NO_ENCRYPT_THEN_MAC"}),
        ("ClientRenegotiation", {"ALLOW_CLIENT_RENEGOTIATION"}),
        ("NoRenegotiation,NoResumptionOnRenegotiation", {"NO_RENEGOTIATION", "NO_SESSION_RESUMPTION_ON_RENEGOTIATION"}),
        ("UnsafeLegacyServerConnect", {"LEGACY_SERVER_CONNECT"}),
        ("UnsafeLegacyRenegotiation", {"ALLOW_UNSAFE_LEGACY_RENEGOTIATION"}),
        ("-AntiReplay,-ExtendedMasterSecret,-CANames", {
            "NO_ANTI_REPLAY", "NO_EXTENDED_MASTER_SECRET", "DISABLE_TLSEXT_CA_NAMES"
        }),
        ("AllowNoDHEKEX,KTLS", {"ALLOW_NO_DHE_KEX", "ENABLE_KTLS"}),
        ("Bugs", {"ALL"}),
    ],
)  # fmt: skip
def test_options(way: Way, parameter: str, names: set[str]) -> None:
    ssl_context = SSL.Context(SSL.TLS_METHOD)
    own = options.get(ssl_context)
    way(ssl_context, ("Options", parameter))
    wanted = own
    for name in names:
        wanted |= options.numbers()[name]
    assert options.get(ssl_context) == wanted


@pytest.mark.parametrize(
    ("parameter", "off"),
    [
        ("-TLSv1,-TLSv1.1", {"NO_TLSv1", "NO_TLSv1_1"}),
        ("-SSLv3,-TLSv1.3", {"NO_SSLv3", "NO_TLSv1_3"}),
        ("ALL,-TLSv1.2", {"NO_TLSv1_2"}),
        ("-ALL,TLSv1.2", {"NO_SSLv3", "NO_TLSv1", "NO_TLSv1_1", "NO_TLSv1_3"}),
    ],
)
def test_protocols(way: Way, parameter: str, off: set[str]) -> None:
    ssl_context = SSL.Context(SSL.TLS_METHOD)
    way(ssl_context, ("Protocol", parameter))
    numbers = options.numbers()
    assert options.get(ssl_context) & numbers["NO_SSL_MASK"] == sum(numbers[name] for name in off)


@pytest.mark.parametrize(
    "command",
    [
        ("CipherString", "BAD"),
        ("Ciphersuites", "TLS_BAD"),
        ("Groups", "P-256:BAD"),
        ("Curves", "BAD"),
        ("SignatureAlgorithms", "BAD"),
        ("MinProtocol", "TLSv9"),
        ("MaxProtocol", ""),
        ("Protocol", "TLSv9"),
        ("Options", "Bad"),
        ("Options", "SessionTicket,-Bad"),
        ("NoSuchCommand", "1"),
        ("MinProtocol", None),
    ],
)
def test_what_is_refused_is_refused_both_ways(way: Way, command: commands.Command) -> None:
    with pytest.raises(TlsSetupError, match=rf"^config = {command[0]}"):
        way(SSL.Context(SSL.TLS_METHOD), command)


def test_what_bindings_cannot_do_is_refused_with_what_would_help() -> None:
    emulate = partial(commands.emulate, SSL.Context(SSL.TLS_METHOD))
    with pytest.raises(TlsSetupError, match=r"^config = NumTickets:0: .* the distribution's own python3-openssl can"):
        emulate(("NumTickets", "0"))
    with pytest.raises(TlsSetupError, match=r"^config = PrivateKey:x: .*: use key$"):
        emulate(("PrivateKey", "x"))


def test_commands_count_after_options(pki: Pki) -> None:
    lines = ("config = CipherString:ECDHE-ECDSA-AES128-GCM-SHA256", "config = MaxProtocol:TLSv1.2")
    meeting = met(client(), server(*presenting(pki.server), *lines))
    assert meeting.client.negotiated().version == "TLSv1.2"
    assert meeting.client.negotiated().cipher == "ECDHE-ECDSA-AES128-GCM-SHA256"


def test_groups_by_command_count(pki: Pki) -> None:
    meeting = met(client("config = Groups:P-384"), server(*presenting(pki.server), "curves = X25519:P-384"))
    assert meeting.server.negotiated().group in {"secp384r1", "P-384", None}


def test_several_refusals_are_told_together(pki: Pki) -> None:
    lines = refusal(*presenting(pki.server), "config = NoSuch:1", "config = CipherString:BAD").splitlines()
    assert lines[0].startswith("config = NoSuch:1: ")
    assert lines[1] == "config = CipherString:BAD: SSL routines::no cipher match"
