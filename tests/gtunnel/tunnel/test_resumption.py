"""What a client remembers of its servers, and for how long."""

import time

import pytest

from gtunnel.tls import context
from gtunnel.tunnel import resumption
from gtunnel.tunnel.resumption import ClientResumption
from gtunnel.tunnel.shared import SharedCache
from tests.gtunnel.logs import ListLog
from tests.gtunnel.tls.pairs import met, presenting, read, service, write
from tests.support.certificates import Pki

LOG = ListLog()


def visit(sessions: ClientResumption, pki: Pki, version: str, server: context.TlsContext) -> bool:
    """Connect once, as the spine does; whether a session was resumed."""
    remembered = sessions.recall("server", LOG)
    client = context.build(service(f"sslVersion = {version}", client=True))
    meeting = met(client.engine(session=remembered.session), server.engine())
    remembered.shaken(meeting.client, LOG)
    write(meeting.server, b"x")
    meeting.deliver(meeting.server)
    assert read(meeting.client) == b"x"
    remembered.look(meeting.client, LOG)
    assert pki
    return meeting.client.reused


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_a_server_that_was_visited_is_remembered(pki: Pki, version: str) -> None:
    sessions = ClientResumption(SharedCache(10), 300)
    server = context.build(service(*presenting(pki.server)))
    assert [visit(sessions, pki, version, server) for _ in range(3)] == [False, True, True]
    assert sessions.recall("another", LOG).session is None


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_a_server_has_to_prove_itself_again_in_time(pki: Pki, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(resumption, "monotonic", lambda: now)
    sessions = ClientResumption(SharedCache(10), 300)
    server = context.build(service(*presenting(pki.server)))
    assert not visit(sessions, pki, version, server)
    for now in (1100.0, 1200.0, 1299.0):  # noqa: B007 - the clock reads it
        assert visit(sessions, pki, version, server)
    # Its tickets were renewed; the full handshake is 301 seconds ago all the same.
    now = 1301.0
    remembered = sessions.recall("server", LOG)
    kept = remembered.session
    sessions.keep("server", b"renewed", 1000.0, LOG)
    assert sessions.recall("server", LOG).session == kept


def test_a_damaged_entry_is_nothing(pki: Pki) -> None:
    store = SharedCache(10)
    sessions = ClientResumption(store, 300)
    store.put(b"server", b"short", 300)
    assert sessions.recall("server", LOG).session is None
    sessions.keep("server", b"no session at all", time.monotonic(), LOG)
    server = context.build(service(*presenting(pki.server)))
    assert not visit(sessions, pki, "TLSv1.3", server)
