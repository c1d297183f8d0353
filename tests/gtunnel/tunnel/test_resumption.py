"""What a client remembers of its servers, and for how long."""

import pytest

from gtunnel.events import Log
from gtunnel.tls import context
from gtunnel.tunnel import resumption
from gtunnel.tunnel.resumption import ClientResumption
from gtunnel.tunnel.shared import SharedCache, SharedCounter
from tests.gtunnel.logs import ListLog
from tests.gtunnel.tls.pairs import met, presenting, read, service, write
from tests.support.certificates import Pki

LOG = ListLog()
VERSIONS = ["TLSv1.2", "TLSv1.3"]


def visit(sessions: ClientResumption, version: str, server: context.TlsContext, *, orderly: bool = True) -> bool:
    """Connect once, as the spine does; whether a session was resumed. `orderly`: whether we say farewell."""
    remembered = sessions.recall("server", LOG)
    client = context.build(service(f"sslVersion = {version}", client=True))
    meeting = met(client.engine(session=remembered.session), server.engine())
    remembered.shaken(meeting.client, LOG)
    write(meeting.server, b"x")
    meeting.deliver(meeting.server)
    assert read(meeting.client) == b"x"
    remembered.look(meeting.client, LOG)
    if orderly:
        meeting.client.close()
    remembered.leave(meeting.client, LOG)
    return meeting.client.reused


@pytest.mark.parametrize("version", VERSIONS)
def test_a_server_that_was_visited_is_remembered(pki: Pki, version: str) -> None:
    sessions = ClientResumption(SharedCache(10), 300)
    server = context.build(service(*presenting(pki.server)))
    assert [visit(sessions, version, server) for _ in range(3)] == [False, True, True]
    assert sessions.recall("another", LOG).session is None


@pytest.mark.parametrize("version", VERSIONS)
def test_another_worker_remembers_it_as_well(pki: Pki, version: str) -> None:
    store = SharedCache(10)
    server = context.build(service(*presenting(pki.server)))
    workers = [ClientResumption(store, 300) for _ in range(2)]
    assert [visit(workers[number], version, server) for number in (0, 1, 0, 0, 1)] == [False, True, True, True, True]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_server_that_was_started_anew_costs_one_full_handshake_not_one_of_each_worker(pki: Pki, version: str) -> None:
    store, refusals = SharedCache(10), SharedCounter()
    workers = [ClientResumption(store, 300, refusals=refusals) for _ in range(3)]
    old, new = (context.build(service(*presenting(pki.server))) for _ in range(2))
    assert [visit(worker, version, old) for worker in (*workers, *workers)] == [False, *[True] * 5]
    assert [visit(worker, version, new) for worker in (*workers, *workers)] == [False, *[True] * 5]


class Watched(SharedCache):
    """A store that tells what is done with it."""

    def __init__(self) -> None:
        super().__init__(10)
        self.done: list[str] = []

    def get(self, key: bytes, log: Log | None = None) -> bytes | None:
        self.done.append("get")
        return super().get(key, log)

    def put(self, key: bytes, value: bytes, seconds: float, log: Log | None = None) -> None:
        self.done.append("put")
        super().put(key, value, seconds, log)


@pytest.mark.parametrize(("version", "done"), [("TLSv1.2", ["get", "put"]), ("TLSv1.3", ["get", "put", "put"])])
def test_what_is_at_hand_is_not_asked_for_and_shared_from_time_to_time(
    pki: Pki, version: str, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(resumption, "monotonic", lambda: now)
    store = Watched()
    sessions = ClientResumption(store, 300)
    server = context.build(service(*presenting(pki.server)))
    assert [visit(sessions, version, server) for _ in range(3)] == [False, True, True]
    assert store.done == ["get", "put"]
    now += resumption.SHARE_SECONDS
    # A session of TLS 1.2 is still the one that was shared.
    assert visit(sessions, version, server)
    assert store.done == done


@pytest.mark.parametrize("version", VERSIONS)
def test_a_connection_that_fails_does_not_end_a_session(pki: Pki, version: str) -> None:
    """OpenSSL has it that the session of one that is freed without close_notify is not resumable."""
    sessions = ClientResumption(SharedCache(10), 300)
    server = context.build(service(*presenting(pki.server)))
    assert not visit(sessions, version, server, orderly=False)
    assert visit(sessions, version, server, orderly=False)
    assert visit(sessions, version, server, orderly=False)


def test_what_is_at_hand_is_bounded(pki: Pki) -> None:
    sessions = ClientResumption(SharedCache(100), 300, 2)
    client = context.build(service("sslVersion = TLSv1.2", client=True))
    for number in range(10):
        remembered = sessions.recall(str(number), LOG)
        remembered.shaken(met(client.engine(), context.build(service(*presenting(pki.server))).engine()).client, LOG)
        assert len(sessions._at_hand) <= 2


@pytest.mark.parametrize("version", VERSIONS)
def test_a_server_has_to_prove_itself_again_in_time(pki: Pki, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(resumption, "monotonic", lambda: now)
    store = SharedCache(10)
    sessions = ClientResumption(store, 300)
    server = context.build(service(*presenting(pki.server)))
    assert not visit(sessions, version, server)
    for now in (1100.0, 1200.0, 1299.0):  # noqa: B007 - the clock reads it
        assert visit(sessions, version, server)
    # Its tickets were renewed; the full handshake is 301 seconds ago all the same.
    now = 1301.0
    kept, session = store.get(b"server"), sessions.recall("server", LOG).session
    assert session is not None
    sessions.keep("server", session, 1000.0, None, LOG)
    assert store.get(b"server") == kept


def test_a_damaged_entry_is_nothing(pki: Pki) -> None:
    store = SharedCache(10)
    sessions = ClientResumption(store, 300)
    store.put(b"server", b"short", 300)
    assert sessions.recall("server", LOG).session is None
    store.put(b"server", b"no session at all", 300)
    server = context.build(service(*presenting(pki.server)))
    assert not visit(sessions, "TLSv1.3", server)


class Server:
    """What a client's engine tells of a handshake."""

    def __init__(self, group: str, *, reused: bool) -> None:
        self.group = group
        self.reused = reused
        self.tickets_follow = True

    def session(self) -> None:
        return None


def test_the_group_of_the_full_handshake_counts_until_the_server_takes_another() -> None:
    remembered = ClientResumption(SharedCache(10), 300).recall("server", LOG)
    for group, reused, known in [
        ("X25519MLKEM768", False, "X25519MLKEM768"),
        ("X25519MLKEM768", True, "X25519MLKEM768"),
        ("x25519", True, None),
        ("x25519", True, None),
        ("x25519", False, "x25519"),
    ]:
        remembered.shaken(Server(group, reused=reused), LOG)  # type: ignore[arg-type]
        assert remembered.group == known


def test_the_group_is_remembered_with_the_session(pki: Pki) -> None:
    sessions = ClientResumption(SharedCache(10), 300)
    server = context.build(service(*presenting(pki.server)))
    visit(sessions, "TLSv1.3", server)
    group = sessions.recall("server", LOG).group
    engine = context.build(service("sslVersion = TLSv1.3", client=True)).engine()
    assert group == met(engine, server.engine()).client.group
