"""Steps are values: a protocol yields them, and nobody changes them on their way."""

import dataclasses

import pytest

from gtunnel.address import HostPort, UnixPath
from gtunnel.wire.steps import Connect, StartTls


def test_a_connection_goes_where_the_service_says_unless_the_protocol_knows_better() -> None:
    assert Connect().target is None
    assert Connect(HostPort("example.org", 80)).target == HostPort("example.org", 80)
    assert Connect(UnixPath("/run/x")) != Connect()


def test_steps_cannot_be_changed() -> None:
    step = Connect()
    with pytest.raises(dataclasses.FrozenInstanceError):
        step.target = UnixPath("/run/x")  # type: ignore[misc]
    assert StartTls() == StartTls()
