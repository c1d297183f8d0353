import re

import pytest

from gtunnel.conf.errors import ConfigError
from gtunnel.conf.load import parse_text
from gtunnel.conf.settings import VirtualName
from tests.gtunnel.conf.samples import configuration, reasons


def two(first: str, second: str) -> str:
    common = "client = yes\nconnect = 9\n"
    return f"{common}[a]\n{first}\n[b]\n{second}\n"


def captures(first: str, second: str) -> str:
    common = "client = yes\ntransparent = destination\n"
    return f"{common}[a]\naccept = 1\n{first}\n[b]\naccept = 2\n{second}\n".replace("; ", "\n")


def test_an_address_is_for_one_service() -> None:
    (reason,) = reasons(two("accept = ::1:5", "accept = 6\naccept = ::1:5"))
    assert reason == (
        't.conf:7: "accept = ::1:5": Service [b]: Binding would fail: service [a] accepts there already (t.conf:4)'
    )


def test_any_port_is_no_address() -> None:
    configuration(two("accept = 0", "accept = 0"))


def test_listeners_on_different_interfaces_may_share_a_port() -> None:
    device = "accept = 5\nsocket = a:SO_BINDTODEVICE="
    configuration(two(device + "eth0", device + "eth1"))
    assert reasons(two(device + "eth0", device + "eth0"))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("capture = 80", "capture = 80"),
        ("capture = 1-100", "capture = 50-60"),
        ("capture = 1-100", "capture = 100"),
        ("capture = 80; captureInterface = eth0", "capture = 80"),
        ("capture = 80; captureInterface = eth0", "capture = 80; captureInterface = eth1,eth0"),
        ("capture = 80; captureTo = 10.0.0.0/8", "capture = 80; captureTo = 10.1.0.0/16"),
        ("capture = 80; captureFrom = 10.0.0.0/8", "capture = 80"),
        ("capture = 80; captureTo = 10.0.0.0/8", "capture = 80; captureExclude = 10.1.0.0/16"),
        (
            "capture = 80; captureInterface = eth0; captureLocal = yes",
            "capture = 80; captureInterface = eth1; captureLocal = yes",
        ),
    ],
)
def test_a_connection_that_two_services_would_take_is_told_with_both_places(first: str, second: str) -> None:
    (reason,) = reasons(captures(first, second))
    assert "service [a] (t.conf:5) captures already" in reason


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("capture = 80", "capture = 81"),
        ("capture = 1-79,81-100", "capture = 80"),
        ("capture = 80; captureInterface = eth0", "capture = 80; captureInterface = eth1"),
        ("capture = 80; captureInterface = eth0; captureLocal = yes", "capture = 80; captureInterface = eth1"),
        ("capture = 80; captureTo = 10.0.0.0/8", "capture = 80; captureTo = ::/0"),
        ("capture = 80; captureFrom = 10.0.0.0/8", "capture = 80; captureFrom = 11.0.0.0/8"),
        ("capture = 80; captureTo = 10.1.0.0/16", "capture = 80; captureExclude = 10.0.0.0/8"),
        ("capture = 80; captureExclude = ::/0", "capture = 80; captureTo = 2001:db8::/32"),
    ],
)
def test_services_may_share_out_the_traffic(first: str, second: str) -> None:
    assert len(configuration(captures(first, second)).services) == 2


PRIMARY = "[p]\naccept = 1\nconnect = 2\ncert = c\n"


def secondary(*lines: str) -> str:
    return "\n".join(("[t]", "connect = 3", "cert = c", *lines, ""))


def test_a_service_may_serve_some_names_of_another_wherever_that_stands() -> None:
    for text in (PRIMARY + secondary("sni = p:a", "sni = p:*.b"), secondary("sni = p:a", "sni = p:*.b") + PRIMARY):
        (service,) = (one for one in parse_text(text).services if one.virtual_names)
        assert service.virtual_names == (VirtualName("p", "a"), VirtualName("p", "*.b"))
        assert not service.accept


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (PRIMARY + secondary("sni = q:a"), "SNI section name not found: there is no service [q]"),
        ("[p]\nclient = yes\naccept = 1\nconnect = 2\n" + secondary("sni = p:a"), "SNI primary service is a TLS cl"),
        (PRIMARY + secondary("sni = p:a") + "[u]\nsni = t:b\nconnect = 1\ncert = c\n", "serves names of another"),
    ],
)
def test_a_name_needs_a_service_that_accepts(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(reason)):
        parse_text(text)


def test_a_primary_that_is_wrong_itself_is_told_about_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_text("[p]\naccept = 1\nconnect = 2\n" + secondary("sni = p:a"))
    assert len(caught.value.problems) == 1
