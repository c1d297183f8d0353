import pytest

from gtunnel.conf.rules import RULES
from tests.gtunnel.conf.samples import CLIENT, GATEWAY, SERVER, client, configuration, gateway, reasons, server

SECONDARY = "[t]\nconnect = 127.0.0.1:2002\ncert = other.pem\n"

CASES = [
    ("[x]\nclient = yes\n", "Each service must define two endpoints (accept is missing, connect is missing)"),
    ("[x]\nclient = yes\nconnect = 1\n", 't.conf:1: "[x]": Each service must define two endpoints (accept is missing)'),
    ("[x]\nclient = yes\naccept = 1\n", 't.conf:1: "[x]": Each service must define two endpoints (connect is missing)'),
    (GATEWAY + "connect = 1", "Service [g]: Each service must define two endpoints (the destination comes from"),
    ("[x]\naccept = 1\nconnect = 2\n", 't.conf:1: "[x]": TLS server needs a certificate'),
    ("[x]\naccept = 1\nconnect = 2\nkey = k\n", "TLS server needs a certificate"),
    (CLIENT + "verifyChain = yes", 't.conf:5: "verifyChain = yes": Service [c]: Either "CAfile" or "CApath" has to be'),
    (CLIENT + "verify = 1", 'Either "CAfile" or "CApath" has to be configured'),
    (SERVER + "verifyPeer = yes", 'Either "CAfile" or "CApath" has to be configured'),
    (
        CLIENT + "checkHost = a",
        't.conf:5: "checkHost = a": Service [c]: Either "verifyChain" or "verifyPeer" has to be',
    ),
    (CLIENT + "verify = 0\ncheckIP = ::1", 'Either "verifyChain" or "verifyPeer" has to be enabled'),
    (CLIENT + "sslVersionMin = TLSv1.3\nsslVersionMax = TLSv1.2", "t.conf:6: "),
    (CLIENT + "sslVersionMin = TLSv1.3\nsslVersionMax = TLSv1.2", "Invalid protocol version range: TLSv1.3 to TLSv1.2"),
    (SERVER + "sni = x:host", "a service that serves another one's names has no accept of its own"),
    (SERVER + SECONDARY + "sni = host", "Invalid SNI parameter format"),
    (SERVER + SECONDARY + "sni = s:", "Invalid SNI parameter format"),
    (SERVER + SECONDARY + "sni = s:www.*.example.org", "Invalid SNI parameter format"),
    (CLIENT + "verifyPeer = yes\nCAfile = ca\nredirect = 80", '"redirect" is unsupported in client sections'),
    (SERVER + "redirect = 80", 'Either "verifyChain" or "verifyPeer" has to be enabled for "redirect" to work'),
    (SERVER + "requireCert = yes\nredirect = 80", 'Either "verifyChain" or "verifyPeer" has to be enabled for'),
    (SERVER + f"ticketKeySecret = {'0' * 32}", '"ticketKeySecret" and "ticketMacSecret" must be set together'),
    (SERVER + f"ticketMacSecret = {'0' * 32}", '"ticketKeySecret" and "ticketMacSecret" must be set together'),
    (CLIENT + "capture = 80", "capture needs transparent = destination or both"),
    (CLIENT + "transparent = source\ncapture = 80", "capture needs transparent = destination or both"),
    (GATEWAY + "captureLocal = yes", "captureLocal needs capture"),
    ("[x]\nclient = yes\naccept = 0\ntransparent = both\ncapture = 80", "capture needs an accept line with a TCP port"),
    (
        CLIENT + "protocol = smtp\nprotocolAuthentication = ntlm",
        "t.conf:6: \"protocolAuthentication = ntlm\": Service [c]: smtp authenticates as either 'plain' or 'login'",
    ),
    (CLIENT + "protocol = smtp\nprotocolUsername = u", "protocolUsername and protocolPassword belong together"),
    (
        SERVER + "verifyPeer = yes\nCAfile = ca\nredirect = 80\nprotocol = smtp",
        '"redirect" is incompatible with the specified protocol negotiation (with smtp the target talks before',
    ),
    (GATEWAY + "accept = /run/s", "a Unix socket's connections have no original destination"),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_what_does_not_fit_together_is_told(text: str, expected: str) -> None:
    (reason,) = reasons(text)
    assert expected in reason


def test_what_fits_together_is_a_service() -> None:
    ca = "CAfile = ca.pem"
    client("verifyChain = yes", ca, "checkHost = a")
    server("verifyPeer = yes", ca, "redirect = 80", "protocol = pgsql")
    client("verifyPeer = yes", "CApath = certs")
    client("verify = 0")
    server("requireCert = yes")
    gateway("capture = 80", "captureLocal = yes")


def test_defaults_may_prepare_what_only_some_services_use() -> None:
    assert configuration("captureLocal = yes\n" + CLIENT).services[0].capture is None


def test_one_cause_is_told_once() -> None:
    assert len(reasons("[x]\nclient = yes\nacept = 1\nconnect = 1\n")) == 1
    assert len(reasons("[x]\naccept = 1\nconnect = nowhere\ncert = c\n")) == 1
    assert len(reasons("conect = 1\n[x]\naccept = 1\ncert = c\n")) == 1
    assert len(reasons(CLIENT + "CAfile =\nverifyChain = yes\n")) == 1


def test_problems_that_have_nothing_to_do_with_each_other_are_told_together() -> None:
    found = reasons("[x]\naccept = 1\nTIMEOUTidle = x\n[y]\nclient = yes\nconnect = 1\n")
    assert [reason.split(":")[1] for reason in found] == ["1", "1", "3", "4"]


def test_rules_look_at_options() -> None:
    for rule in RULES:
        assert rule.looks_at
