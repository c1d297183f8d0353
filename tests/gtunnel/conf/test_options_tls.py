import pytest

from gtunnel.conf.options_tls import DEFAULT_CIPHERS, DEFAULT_CIPHERSUITES
from gtunnel.conf.settings import TlsVersion
from tests.gtunnel.conf.samples import CLIENT, SERVER, client, reasons, server


def test_what_nothing_is_said_about() -> None:
    tls = client().tls
    assert (tls.cert, tls.key, tls.sni) == (None, None, None)
    assert (tls.ciphers, tls.ciphersuites, tls.curves) == (DEFAULT_CIPHERS, DEFAULT_CIPHERSUITES, None)
    assert (tls.version_min, tls.version_max) == (TlsVersion.TLSV1, TlsVersion.ALL)
    assert tls.security_level == 2
    assert tls.options == (("NO_SSLv2", True), ("NO_SSLv3", True))


def test_the_key_is_in_the_certificates_file_unless_it_is_named() -> None:
    assert server().tls.key == "both.pem"
    assert server("key = key.pem").tls.key == "key.pem"


def test_options_add_up_in_order() -> None:
    options = server("options = -NO_SSLv3", "options = no_ticket").tls.options
    assert options == (("NO_SSLv2", True), ("NO_SSLv3", True), ("NO_SSLv3", False), ("NO_TICKET", True))


def test_curve_is_another_name_of_curves() -> None:
    assert server("curve = prime256v1", "curves = X25519").tls.curves == "X25519"
    assert server("curves = X25519", "curve = prime256v1").tls.curves == "prime256v1"


def test_sni_may_be_empty_in_a_client() -> None:
    assert client("sni = host").tls.sni == "host"
    assert client("sni = host", "sni =").tls.sni == ""


def test_tls_1_3_can_be_left_without_suites() -> None:
    assert server("ciphersuites =").tls.ciphersuites == ""


@pytest.mark.parametrize(
    ("lines", "low", "high"),
    [
        (["sslVersion = TLSv1.2"], TlsVersion.TLSV1_2, TlsVersion.TLSV1_2),
        (["sslVersion = ALL"], TlsVersion.ALL, TlsVersion.ALL),
        (["sslVersionMin = tlsv1.3"], TlsVersion.TLSV1_3, TlsVersion.ALL),
        (["sslVersionMax = TLSv1.2"], TlsVersion.TLSV1, TlsVersion.TLSV1_2),
        (["sslVersionMin = TLSv1.3", "sslVersion = TLSv1.2"], TlsVersion.TLSV1_2, TlsVersion.TLSV1_2),
        (["sslVersion = TLSv1.2", "sslVersionMax = all"], TlsVersion.TLSV1_2, TlsVersion.ALL),
    ],
)
def test_versions_are_bounded_in_the_order_written(lines: list[str], low: TlsVersion, high: TlsVersion) -> None:
    tls = server(*lines).tls
    assert (tls.version_min, tls.version_max) == (low, high)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("sslVersion = SSLv2", "Invalid protocol version"),
        ("securityLevel = 6", "Illegal security level"),
        ("securityLevel = -1", "Illegal security level"),
        ("curves =", "Invalid groups list in 'curves'"),
        ("ciphers =", "a cipher list is missing"),
        ("options = FOO", "Illegal TLS option"),
        ("cert =", "a path is missing"),
    ],
)
def test_bad_values_are_told(line: str, reason: str) -> None:
    for base in (CLIENT, SERVER):
        (told,) = reasons(base + line)
        assert reason in told


def test_commands_add_up_with_their_parameters() -> None:
    lines = ("config = CipherString:HIGH:!RSA", "config = Bare", "config = Empty:")
    assert server(*lines).tls.commands == (("CipherString", "HIGH:!RSA"), ("Bare", None), ("Empty", ""))
    assert client().tls.commands == ()


def test_a_command_has_a_name() -> None:
    assert "a command is missing" in reasons(SERVER + "config = :x\n")[0]


def test_renegotiation_is_allowed_unless_it_is_not() -> None:
    assert server().tls.renegotiation
    assert not client("renegotiation = no").tls.renegotiation
