import random

import pytest

from gtunnel.conf.options_protocol import PROTOCOL
from gtunnel.conf.settings import Protocol, ProtocolSettings
from gtunnel.wire import protocols
from gtunnel.wire.steps import Connect, Scene, Side, StartTls
from tests.gtunnel.wire.play import play


def test_without_a_protocol_tls_is_first_for_a_server_and_last_for_a_client() -> None:
    server = protocols.negotiator(ProtocolSettings(), client=False)
    client = protocols.negotiator(ProtocolSettings(), client=True)
    assert list(server(Scene())) == [StartTls(), Connect()]
    assert list(client(Scene())) == [Connect(), StartTls()]


def test_every_protocol_that_works_is_there_in_all_its_roles() -> None:
    for name in PROTOCOL.works_for or (*Protocol, None):
        if name is None or name.serves:
            assert name in protocols.SERVERS, name
        if name is None or name.dials:
            assert name in protocols.CLIENTS, name


WORDS = (
    *(
        b"220 ",
        b"250-",
        b"250 ",
        b"* OK ",
        b"GT1 OK ",
        b"+OK ",
        b"200 ",
        b"382 ",
        b"STARTTLS",
        b"STLS",
        b"a ",
        b"EHLO ",
    ),
    *(
        b"\r\n",
        b"\n",
        b"\0",
        b"\x81\0\0\0",
        b"\0\0\0\x08\x04\xd2\x16\x2f",
        b"\x30",
        b"\x84",
        b"S",
        b"\x05\x01\0",
        b"\x04\x01",
    ),
    *(b"HTTP/1.1 200 OK\r\n\r\n", b"PROXY TCP4 ", b"\xff\xfe", b"x" * 300),
)


@pytest.mark.parametrize("client", [False, True])
def test_whatever_peers_say_a_negotiation_ends_or_waits_or_fails_as_it_should(*, client: bool) -> None:
    rng = random.Random(44)

    def anything() -> bytes:
        return b"".join(rng.choice(WORDS) for _ in range(rng.randrange(40)))

    for name in protocols.CLIENTS if client else protocols.SERVERS:
        settings = ProtocolSettings(name=name, username="u", password="p", host="example.org:1")  # noqa: S106
        for _ in range(300):
            side = Side.TARGET if client else Side.CLIENT
            negotiation = protocols.negotiator(settings, client=client)(Scene())
            play(negotiation, anything(), anything(), tls_side=side, after_tls=anything(), chunk=rng.choice((0, 1, 7)))
