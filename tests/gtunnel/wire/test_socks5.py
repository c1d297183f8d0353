"""The client's side of SOCKS 5; the server's is in test_socks."""

import pytest

from gtunnel.address import OriginalDestination, SocketAddress
from gtunnel.conf.settings import Protocol, ProtocolSettings
from gtunnel.wire import socks, socks5
from gtunnel.wire.steps import Scene, Send, Side
from tests.gtunnel.wire.play import CHUNKS, Played, play

NAMED = ProtocolSettings(name=Protocol.SOCKS, host="example.org:443")
KNOWN = ProtocolSettings(name=Protocol.SOCKS, host="192.0.2.7:443", username="me", password="hunter2")  # noqa: S106
ANSWERED = b"\x05\x00\x00\x01" + bytes(6)


def ask(settings: ProtocolSettings, said: bytes, *, chunk: int = 0, scene: Scene | None = None) -> Played:
    return play(socks.client(settings, scene or Scene()), tls_side=Side.TARGET, after_tls=said, chunk=chunk)


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize("bound", [b"\x01" + bytes(6), b"\x04" + bytes(18), b"\x03\x04name\x00\x50"])
def test_the_server_is_asked_by_name(chunk: int, bound: bytes) -> None:
    played = ask(NAMED, b"\x05\x00" + b"\x05\x00\x00" + bound + b"data", chunk=chunk)
    assert played.error is None
    assert played.under_tls[Side.TARGET] == b"\x05\x01\x00" + b"\x05\x01\x00\x03\x0bexample.org\x01\xbb"
    assert played.rest[Side.TARGET] == b"data"


def test_without_protocol_host_it_is_asked_for_what_the_client_meant() -> None:
    meant = OriginalDestination(SocketAddress("2001:db8::7", 443))
    played = ask(ProtocolSettings(name=Protocol.SOCKS), b"\x05\x00" + ANSWERED, scene=Scene(destination=meant))
    address = bytes.fromhex("20010db8000000000000000000000007")
    assert played.under_tls[Side.TARGET][3:] == b"\x05\x01\x00\x04" + address + b"\x01\xbb"
    nobody = ask(ProtocolSettings(name=Protocol.SOCKS), b"\x05\x00")
    assert str(nobody.error) == "socks: nobody said whom the server is to be asked for"


def test_name_and_password() -> None:
    played = ask(KNOWN, b"\x05\x02" + b"\x01\x00" + ANSWERED)
    assert played.error is None
    assert played.under_tls[Side.TARGET].startswith(b"\x05\x01\x02" + b"\x01\x02me\x07hunter2" + b"\x05\x01\x00\x01")
    secret = [step for step in played.steps if isinstance(step, Send) and b"hunter2" in step.data]
    assert all(step.secret for step in secret)


@pytest.mark.parametrize(
    ("settings", "said", "text"),
    [
        (NAMED, b"\x04\x5a", "the server answered with SOCKS version 0x04"),
        (NAMED, b"\x05\xff", r"the server takes no client like us \(set protocolUsername and protocolPassword\?\)"),
        (KNOWN, b"\x05\x00", "it wants another authentication"),
        (KNOWN, b"\x05\x02\x01\x01", "the server does not take our password"),
        (NAMED, b"\x05\x00" + b"\x05\x05\x00\x01", r"the server refused the request: connection refused \(0x05\)"),
        (NAMED, b"\x05\x00" + b"\x05\x63\x00\x01", "a reason that is not known"),
        (NAMED, b"\x05\x00" + b"\x05\x00\x00\x09", "Unsupported SOCKS5 address type 0x09"),
        (NAMED, b"\x05\x00" + b"\x04\x00\x00\x01", "the server answered with SOCKS version 0x04"),
    ],
)
def test_a_refusal_is_told(settings: ProtocolSettings, said: bytes, text: str) -> None:
    with pytest.raises(Exception, match=text) as raised:
        raise ask(settings, said).error or AssertionError
    assert str(raised.value).startswith("socks: ")


def test_an_answer_has_our_address_in_its_family() -> None:
    assert socks5.DIALECT.success(SocketAddress("::1", 80)) == b"\x05\x00\x00\x04" + bytes(15) + b"\x01\x00\x50"
    assert socks5.DIALECT.success(None) == ANSWERED
