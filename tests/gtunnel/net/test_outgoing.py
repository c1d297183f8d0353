"""What the connections of a service have in common."""

import dataclasses

import pytest

from gtunnel.net.outgoing import Outgoing
from gtunnel.net.transparency import Opaque


def test_it_is_shared_by_all_connections_so_none_can_change_it() -> None:
    outgoing = Outgoing(seconds=10, options=(), strategy=Opaque(), local=None, mark=0, loops=None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        outgoing.seconds = 5  # type: ignore[misc]
