import pytest

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
