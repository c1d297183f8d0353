import pytest

from gtunnel.address import HostPort
from gtunnel.conf.settings import OcspFlag
from tests.gtunnel.conf.samples import CLIENT, client, reasons


def test_nobody_is_asked_unless_it_is_said() -> None:
    ocsp = client().ocsp
    assert (ocsp.url, ocsp.aia, ocsp.flags, ocsp.nonce) == (None, False, frozenset(), False)
    assert (ocsp.require, ocsp.seconds, ocsp.asks) == (True, 5.0, False)


def test_a_responder_is_a_url() -> None:
    url = client("OCSP = http://ocsp.example.org:2560/ca?x").ocsp.url
    assert url is not None
    assert url.endpoint == HostPort("ocsp.example.org", 2560)
    assert (url.authority, url.target) == ("ocsp.example.org:2560", "/ca?x")
    assert client("OCSP = http://ocsp.example.org").ocsp.asks
    assert client("OCSPaia = yes").ocsp.asks


@pytest.mark.parametrize("url", ["", "ftp://x/", "x", "http://", "http://x:y/", "http://u@x/", "http://x:0/", "//x/"])
def test_what_is_no_responder_is_refused_at_once(url: str) -> None:
    (reason,) = reasons(CLIENT + f"OCSP = {url}")
    assert "OCSP" in reason


def test_a_responder_behind_tls_is_refused_with_what_would_help() -> None:
    (reason,) = reasons(CLIENT + "OCSP = https://ocsp.example.org/")
    assert "TLS not supported for OCSP - an additional stunnel service needs to be defined" in reason


def test_flags_add_up_in_any_case() -> None:
    assert client("OCSPflag = NOCHAIN", "OCSPflag = notime").ocsp.flags == {OcspFlag.NOCHAIN, OcspFlag.NOTIME}
    (reason,) = reasons(CLIENT + "OCSPflag = FOO")
    assert "Illegal OCSP flag" in reason
