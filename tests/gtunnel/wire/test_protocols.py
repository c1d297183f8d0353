from gtunnel.conf.options_protocol import PROTOCOL
from gtunnel.conf.settings import Protocol, ProtocolSettings
from gtunnel.wire import protocols
from gtunnel.wire.steps import Connect, Scene, StartTls


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
