import pytest

from gtunnel.conf.option import BadValueError
from gtunnel.conf.options_capture import interface, network, port_range
from gtunnel.conf.settings import CaptureMethod, Place
from tests.gtunnel.conf.samples import FILE, gateway


def test_what_nothing_is_said_about() -> None:
    capture = gateway("capture = 80").capture
    assert capture is not None
    assert capture.ports == ((80, 80),)
    assert (capture.interfaces, capture.from_networks, capture.to_networks, capture.exclude) == ((), (), (), ())
    assert not capture.local
    assert capture.method is CaptureMethod.AUTO
    assert capture.place == Place(FILE, 5)


def test_what_is_said() -> None:
    capture = gateway(
        *(
            "capture = 80, 8000-8099,http",
            "capture = 25",
            "captureInterface = eth1, eth2.5",
            "captureFrom = 192.0.2.0/24",
        ),
        *("captureTo = 2001:db8::1", "captureExclude = 10.0.0.1,10.1.0.0/16", "captureExclude = ::/0"),
        *("captureLocal = yes", "captureMethod = tproxy"),
    ).capture
    assert capture is not None
    assert capture.ports == ((80, 80), (8000, 8099), (25, 25))
    assert capture.interfaces == ("eth1", "eth2.5")
    assert capture.from_networks == ("192.0.2.0/24",)
    assert capture.to_networks == ("2001:db8::1/128",)
    assert capture.exclude == ("10.0.0.1/32", "10.1.0.0/16", "::/0")
    assert capture.local
    assert capture.method is CaptureMethod.TPROXY


@pytest.mark.parametrize(
    ("text", "ports"), [("1", (1, 1)), ("65535", (65535, 65535)), ("1 - 5", (1, 5)), ("smtp", (25, 25))]
)
def test_port_ranges(text: str, ports: tuple[int, int]) -> None:
    assert port_range(text) == ports


@pytest.mark.parametrize("text", ["0", "65536", "5-1", "0-5", "1-70000"])
def test_ports_out_of_range(text: str) -> None:
    with pytest.raises(BadValueError, match=r"^Illegal port range"):
        port_range(text)


def test_a_network_with_host_bits_is_told_what_it_would_be() -> None:
    with pytest.raises(BadValueError, match=r"host bits set; the network is 192\.0\.2\.0/24"):
        network("192.0.2.1/24")
    for text in ("", "host", "192.0.2.0/33", "1.2.3"):
        with pytest.raises(BadValueError, match="neither an address nor a network"):
            network(text)


@pytest.mark.parametrize("text", ["", "sixteen-letters-", "a b", "a/b", "eth+", "eth*", "..", 'a"b', "a;b"])
def test_what_a_firewall_could_misread_is_no_interface(text: str) -> None:
    with pytest.raises(BadValueError, match="no interface's name"):
        interface(text)
