"""SOCKS on bytes: the order of what happens, and what clients are told."""

import errno

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gtunnel.address import ClientAddress, HostPort, SocketAddress
from gtunnel.conf.settings import ProtocolSettings, SocksSettings
from gtunnel.conf.targetrules import parse
from gtunnel.errors import GtunnelError, ReachError
from gtunnel.net.errors import NoTargetError, OwnAddressError
from gtunnel.wire import socks
from gtunnel.wire.errors import AuthenticationError
from gtunnel.wire.sockswords import RequestError
from gtunnel.wire.steps import (
    Associate,
    Authenticate,
    Connect,
    Listen,
    Meet,
    Resolve,
    Scene,
    Send,
    Side,
    StartTls,
    Step,
)
from tests.gtunnel.wire.play import CHUNKS, Played, play

ANYBODY = SocksSettings()
ADDRESS = SocketAddress("192.0.2.7", 80)
BOUND = SocketAddress("198.51.100.1", 40000)
BY_ADDRESS = b"\x05\x01\x00" + b"\x05\x01\x00\x01" + bytes((192, 0, 2, 7)) + b"\x00\x50"
BY_NAME = b"\x05\x01\x00" + b"\x05\x01\x00\x03\x0bexample.org\x00\x50"
BY_V6 = b"\x05\x01\x00" + b"\x05\x01\x00\x04" + bytes.fromhex("20010db8000000000000000000000007") + b"\x00\x50"
OLD = b"\x04\x01\x00\x50" + bytes((192, 0, 2, 7)) + b"me\0"
OLD_NAME = b"\x04\x01\x00\x50" + bytes((0, 0, 0, 1)) + b"me\0example.org\0"
GRANTED = b"\x05\x00" + b"\x05\x00\x00\x01" + bytes((198, 51, 100, 1)) + b"\x9c\x40"
OLD_GRANTED = b"\x00\x5a\x9c\x40" + bytes((198, 51, 100, 1))


def serve(
    said: bytes,
    *,
    found: tuple[str, ...] = ("192.0.2.7",),
    fails: int = 0,
    chunk: int = 0,
    options: SocksSettings = ANYBODY,
) -> Played:
    scene = Scene()

    def take(step: Step) -> None:
        if isinstance(step, Resolve):
            scene.resolved = tuple(SocketAddress(host, step.target.port) for host in found)
            if not found:
                raise ReachError(detail="no such name")
        if isinstance(step, Authenticate) and (step.name, step.password) != (b"me", b"hunter2"):
            raise AuthenticationError(protocol="socks", name="me")
        if isinstance(step, Connect):
            scene.bound = BOUND
            if fails:
                raise NoTargetError(fails)

    return play(socks.server(ProtocolSettings(socks=options), scene), after_tls=said, chunk=chunk, take=take)


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize("said", [BY_ADDRESS, BY_NAME, OLD, OLD_NAME])
def test_the_request_comes_under_tls_and_is_answered_when_the_target_is_connected(said: bytes, chunk: int) -> None:
    played = serve(said + b"data", chunk=chunk)
    assert played.error is None
    assert played.steps[0] == StartTls()
    assert played.steps[-2] == Connect(addresses=(ADDRESS,))
    assert isinstance(played.steps[-1], Send)
    assert played.under_tls[Side.CLIENT] == (GRANTED if said[0] == 5 else OLD_GRANTED)
    assert played.rest[Side.CLIENT] == b"data"


def test_a_name_is_resolved_here() -> None:
    assert Resolve(HostPort("example.org", 80)) in serve(BY_NAME).steps
    assert serve(BY_NAME, found=("2001:db8::1", "192.0.2.1")).steps[-2] == Connect(
        addresses=(SocketAddress("2001:db8::1", 80), SocketAddress("192.0.2.1", 80))
    )


def test_ipv6_works_too() -> None:
    assert Connect(addresses=(SocketAddress("2001:db8::7", 80),)) in serve(BY_V6).steps


def test_nothing_said_in_plaintext_is_a_request() -> None:
    played = play(socks.server(ProtocolSettings(), Scene()), BY_ADDRESS)
    assert played.at_tls is not None
    assert played.steps == [StartTls()]


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ECONNREFUSED, 5),
        (errno.ENETUNREACH, 3),
        (errno.EHOSTUNREACH, 4),
        (errno.ETIMEDOUT, 6),
        (errno.EACCES, 2),
        (errno.EINVAL, 1),
    ],
)
def test_a_client_learns_why_it_was_not_connected(number: int, code: int) -> None:
    played = serve(BY_ADDRESS, fails=number)
    assert isinstance(played.error, NoTargetError)
    assert played.under_tls[Side.CLIENT][2:] == b"\x05" + bytes((code,)) + b"\x00\x01" + bytes(6)
    assert isinstance(played.steps[-1], Send)
    assert played.steps[-1].farewell
    assert serve(OLD, fails=number).under_tls[Side.CLIENT] == b"\x00\x5b" + bytes(6)


def test_a_name_without_an_address_is_a_host_that_is_not_reached() -> None:
    assert serve(BY_NAME, found=()).under_tls[Side.CLIENT][3] == 4


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1"])
def test_loopback_is_refused_however_it_is_written(host: str) -> None:
    played = serve(BY_NAME, found=(host,))
    assert str(played.error).startswith("socks: SOCKS connection to example.org:80 rejected")
    assert played.under_tls[Side.CLIENT][3] == 2
    assert Connect not in played.kinds


@pytest.mark.parametrize(
    ("said", "text", "told"),
    [
        (b"\x06", "Unsupported SOCKS version 0x06", b""),
        (b"GET / HTTP/1.0\r\n\r\n", "Unsupported SOCKS version 0x47", b""),
        (b"\x05\x00", "No supported SOCKS5 authentication method", b"\x05\xff"),
        (b"\x05\x01\x02", "No supported SOCKS5 authentication method", b"\x05\xff"),
        (b"\x05\x01\x00\x05\x09\x00\x01" + bytes(6), "Unsupported SOCKS command 0x09", b"\x05\x00\x05\x07"),
        (b"\x05\x01\x00\x05\x01\x00\x09", "Unsupported SOCKS5 address type 0x09", b"\x05\x00\x05\x08"),
        (b"\x05\x01\x00\x04\x01\x00\x01", "Unsupported SOCKS version 0x04 in a request", b"\x05\x00\x05\x01"),
        (b"\x05\x01\x00\x05\x01\x00\x03\x00\x00\x50", "the host name is empty", b"\x05\x00\x05\x01"),
        (b"\x05\x01\x00\x05\x01\x00\x03\x03a\0b\x00\x50", "is not a host name", b"\x05\x00\x05\x01"),
        (b"\x05\x01\x00\x05\x01\x00\x01\xc0\x00\x02\x07\x00\x00", "there is no port 0", b"\x05\x00\x05\x02"),
        (b"\x04\x07\x00\x50\xc0\x00\x02\x07\0", "Unsupported SOCKS command 0x07", b"\x00\x5b"),
        (b"\x04\x01\x00\x50\xc0\x00\x02\x07" + b"u" * 300, "Line too long", b"\x00\x5b"),
    ],
)
@pytest.mark.parametrize("chunk", CHUNKS)
def test_what_is_no_request_is_refused(said: bytes, text: str, told: bytes, chunk: int) -> None:
    played = serve(said, chunk=chunk)
    assert text in str(played.error)
    assert played.under_tls[Side.CLIENT].startswith(told)
    assert Connect not in played.kinds


def test_who_is_to_be_redirected_has_no_wish() -> None:
    assert list(socks.server(ProtocolSettings(), Scene(redirected=True))) == [StartTls(), Connect()]


@given(said=st.binary(max_size=600))
@settings(max_examples=300, deadline=None)
def test_whatever_a_client_says_it_is_a_request_or_one_error(said: bytes) -> None:
    for start in (b"", b"\x04", b"\x05\x01\x00", b"\x05\x01\x00\x05\x01\x00\x03"):
        played = serve(start + said)
        assert played.error is None or isinstance(played.error, GtunnelError)


def test_a_client_speaks_tls_with_the_server_that_it_asks() -> None:
    steps = socks.client(ProtocolSettings(), Scene())
    assert [next(steps), next(steps)] == [Connect(), StartTls()]


USERS = SocksSettings(users="file")


@pytest.mark.parametrize("chunk", CHUNKS)
def test_name_and_password_come_before_the_request(chunk: int) -> None:
    said = b"\x05\x02\x00\x02" + b"\x01\x02me\x07hunter2" + BY_ADDRESS[3:]
    played = serve(said, options=USERS, chunk=chunk)
    assert played.error is None
    assert played.under_tls[Side.CLIENT] == b"\x05\x02" + b"\x01\x00" + GRANTED[2:]


@pytest.mark.parametrize(
    ("said", "text", "told"),
    [
        (BY_ADDRESS, "No supported SOCKS5 authentication method", b"\x05\xff"),
        (OLD, "SOCKS 4 has no passwords", b"\x00\x5b" + bytes(6)),
        (b"\x05\x01\x02\x01\x02me\x01x" + BY_ADDRESS[3:], "wrong name or password", b"\x05\x02\x01\x01"),
        (b"\x05\x01\x02\x01\x00\x00" + BY_ADDRESS[3:], "wrong name or password", b"\x05\x02\x01\x01"),
        (b"\x05\x01\x02\x05\x02me\x07hunter2", "Unsupported version 0x05", b"\x05\x02\x01\x01"),
    ],
)
def test_without_them_nothing_is_connected(said: bytes, text: str, told: bytes) -> None:
    played = serve(said, options=USERS)
    assert text in str(played.error)
    assert played.under_tls[Side.CLIENT] == told
    assert Connect not in played.kinds


def test_a_target_that_is_not_allowed_is_told_so() -> None:
    played = serve(BY_ADDRESS, options=SocksSettings(targets=(parse("deny 192.0.2.0/24"), parse("allow *"))))
    assert played.under_tls[Side.CLIENT][3] == 2


def test_bind_answers_twice_and_waits_for_the_named_peer_only() -> None:
    scene = Scene()

    def take(step: Step) -> None:
        if isinstance(step, Listen):
            scene.bound = BOUND
        if isinstance(step, Meet):
            scene.peer = SocketAddress("192.0.2.7", 20)

    options = SocksSettings(bind="198.51.100.1")
    said = b"\x05\x01\x00" + b"\x05\x02\x00\x01" + bytes((192, 0, 2, 7)) + b"\x00\x00"
    played = play(socks.server(ProtocolSettings(socks=options), scene), after_tls=said, take=take)
    assert played.error is None
    kinds = [step for step in played.steps if isinstance(step, Listen | Meet)]
    assert kinds == [Listen("198.51.100.1"), Meet(("192.0.2.7",))]
    answers = GRANTED[2:] + b"\x05\x00\x00\x01" + bytes((192, 0, 2, 7)) + b"\x00\x14"
    assert played.under_tls[Side.CLIENT] == b"\x05\x00" + answers


def test_a_rule_with_a_port_lets_nobody_connect_back() -> None:
    options = SocksSettings(bind="198.51.100.1", targets=(parse("allow 192.0.2.0/24:80"),))
    said = b"\x05\x01\x00" + b"\x05\x02\x00\x01" + bytes((192, 0, 2, 7)) + b"\x00\x50"
    assert serve(said, options=options).under_tls[Side.CLIENT][3] == 2


def test_a_client_is_told_when_nothing_can_be_opened_for_it() -> None:
    def take(step: Step) -> None:
        if isinstance(step, Listen):
            raise OwnAddressError(option="socksBind", host=step.host, reason="not here")

    options = SocksSettings(bind="198.51.100.1")
    said = b"\x05\x01\x00" + b"\x05\x02\x00\x01" + bytes((192, 0, 2, 7)) + b"\x00\x00"
    played = play(socks.server(ProtocolSettings(socks=options), Scene()), after_tls=said, take=take)
    assert "socksBind = 198.51.100.1: not here" in str(played.error)
    assert played.under_tls[Side.CLIENT][3] == 1


def test_datagrams_are_relayed_to_whom_the_rules_allow() -> None:
    options = SocksSettings(udp="198.51.100.1", targets=(parse("allow 192.0.2.0/24:53"),))
    scene = Scene(client=ClientAddress(SocketAddress("203.0.113.1", 1)), bound=BOUND)
    said = b"\x05\x01\x00" + b"\x05\x03\x00\x01" + bytes(6)
    played = play(socks.server(ProtocolSettings(socks=options), scene), after_tls=said)
    (step,) = [step for step in played.steps if isinstance(step, Associate)]
    assert played.under_tls[Side.CLIENT] == GRANTED
    allowed = (SocketAddress("192.0.2.1", 53),)
    assert step.admit(HostPort("192.0.2.1", 53), allowed) == allowed
    with pytest.raises(RequestError):
        step.admit(HostPort("192.0.2.1", 54), (SocketAddress("192.0.2.1", 54),))


@pytest.mark.parametrize("command", [2, 3])
def test_without_an_address_of_ours_neither_works(command: int) -> None:
    played = serve(b"\x05\x01\x00\x05" + bytes((command,)) + b"\x00\x01" + bytes((192, 0, 2, 7)) + b"\x00\x50")
    assert "Unsupported SOCKS command" in str(played.error)
    assert played.under_tls[Side.CLIENT][3] == 7


def test_what_is_asked_for_a_names_address_is_told() -> None:
    played = serve(b"\x05\x01\x00" + b"\x05\xf0\x00\x03\x0bexample.org\x00\x00")
    assert played.error is None
    assert played.under_tls[Side.CLIENT][2:] == b"\x05\x00\x00\x01" + bytes((192, 0, 2, 7)) + b"\x00\x00"
    assert Connect not in played.kinds
    inside = serve(b"\x05\x01\x00" + b"\x05\xf0\x00\x03\x0bexample.org\x00\x00", found=("127.0.0.1",))
    assert inside.under_tls[Side.CLIENT][3] == 2
