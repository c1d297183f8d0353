import dataclasses

import pytest

from gtunnel.address import HostPort
from gtunnel.conf.settings import Place
from tests.gtunnel.conf.samples import CLIENT, FILE, SERVER, client, configuration, gateway


def test_services_come_in_the_order_written_with_their_places() -> None:
    found = configuration(CLIENT + SERVER)
    assert [(service.name, service.place) for service in found.services] == [
        ("c", Place(FILE, 1)),
        ("s", Place(FILE, 5)),
    ]
    assert found.file == FILE


def test_a_listener_said_twice_is_one_but_any_port_is_a_new_one_each_time() -> None:
    accept = client("accept = 127.0.0.1:1000", "accept = 0", "accept = 0").accept
    assert accept == (HostPort("127.0.0.1", 1000), HostPort("", 0), HostPort("", 0))


def test_a_target_said_twice_gets_twice_the_connections() -> None:
    assert len(client("connect = 127.0.0.1:2000").connect.targets) == 2


def test_a_key_without_a_certificate_is_left_alone() -> None:
    assert client("key = nope").tls.key is None
    assert configuration(CLIENT + "key = nope").notes == ("t.conf:5: option 'key' has no effect without cert",)


def test_outgoing_sockets_are_marked_where_rules_look_at_marks() -> None:
    assert not configuration(CLIENT).marks_sockets
    assert configuration(CLIENT + "transparent = source").marks_sockets
    captured = "[c]\nclient = yes\naccept = 1\ntransparent = destination\ncapture = 80\n"
    assert not configuration(captured).marks_sockets
    assert configuration(captured + "captureLocal = yes").marks_sockets


def test_settings_are_frozen_and_can_be_compared() -> None:
    service = gateway("capture = 80")
    assert service == gateway("capture = 80")
    assert hash(service) == hash(gateway("capture = 80"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        service.name = "x"  # type: ignore[misc]
