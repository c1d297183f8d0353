"""An engine that lets go: whoever has its keys goes on with the connection, in either role, wherever bytes are cut."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gtunnel.tls import context
from gtunnel.tls.engine import TlsEngine
from gtunnel.tls.handover import HandoverEngine, Keys
from gtunnel.tls.kernelkeys import CIPHERS
from tests.gtunnel.tls import pairs
from tests.support.certificates import Pki
from tests.support.userkernel import DATA, Half

KTLS = "options = ENABLE_KTLS"


def made(*lines: str, client: bool = False) -> TlsEngine:
    """An engine of a service whose connections may become the kernel's."""
    return context.build(pairs.service(KTLS, *lines, client=client), None, lambda: True).engine()


@dataclass
class Played:
    """The kernel, as far as an engine's keys are concerned."""

    send: Half
    receive: Half

    @classmethod
    def of(cls, keys: Keys | None) -> "Played":
        assert keys is not None
        return cls(Half(keys.send), Half(keys.receive))

    def opened(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        while data:
            end = 5 + int.from_bytes(data[3:5])
            yield self.receive.open(data[:end])
            data = data[end:]


def handing_over(role: str, pki: Pki, *lines: str, cut: int = pairs.BUFFER) -> tuple[HandoverEngine, TlsEngine]:
    """A connection after its handshake: the engine that hands over, and its peer."""
    ours, theirs = (
        made(*lines, *(pairs.presenting(pki.server) if role == "server" else ()), client=role == "client"),
        None,
    )
    theirs = pairs.client(*lines) if role == "server" else pairs.server(*lines, *pairs.presenting(pki.server))
    meeting = pairs.met(theirs, ours, cut) if role == "server" else pairs.met(ours, theirs, cut)
    # What they have to say behind the handshake: tickets.
    meeting.deliver(theirs)
    meeting.deliver(ours)
    assert pairs.read(ours) == b""
    assert pairs.read(theirs) == b""
    assert isinstance(ours, HandoverEngine)
    return ours, theirs


def cross(one: TlsEngine, other: TlsEngine, data: bytes, cut: int = pairs.BUFFER) -> None:
    """Data from one to the other, `cut` bytes at a time."""
    pairs.write(one, data)
    sealed = pairs.drain(one)
    for start in range(0, len(sealed), cut):
        other.feed(sealed[start : start + cut])
    assert pairs.read(other) == data


def goes_on(ours: HandoverEngine, theirs: TlsEngine) -> None:
    """That the kernel could: both ways, and to the end."""
    assert ours.is_at_boundary
    kernel = Played.of(ours.let_go())
    theirs.feed(kernel.send.seal(DATA, b"from the kernel"))
    assert pairs.read(theirs) == b"from the kernel"
    pairs.write(theirs, b"and back")
    assert list(kernel.opened(pairs.drain(theirs))) == [(DATA, b"and back")]
    theirs.close()
    assert list(kernel.opened(pairs.drain(theirs))) == [(21, b"\x01\x00")]
    theirs.feed(kernel.send.seal(21, b"\x01\x00"))
    assert pairs.read(theirs) == b""
    assert theirs.ended


@pytest.mark.parametrize("suite", CIPHERS)
@pytest.mark.parametrize("role", ["server", "client"])
def test_the_kernel_goes_on_where_the_engine_was(role: str, suite: str, pki: Pki) -> None:
    ours, theirs = handing_over(role, pki, f"ciphersuites = {suite}")
    cross(ours, theirs, b"x" * 50000)
    cross(theirs, ours, b"y" * 70000)
    goes_on(ours, theirs)


@pytest.mark.parametrize("role", ["server", "client"])
@pytest.mark.parametrize("cut", [1, 3, 5, 7, 1000])
def test_bytes_may_be_cut_anywhere(role: str, cut: int, pki: Pki) -> None:
    ours, theirs = handing_over(role, pki, cut=cut)
    cross(theirs, ours, b"y" * 3000, cut)
    goes_on(ours, theirs)


@pytest.mark.parametrize("role", ["server", "client"])
def test_nothing_at_all_may_have_been_said(role: str, pki: Pki) -> None:
    ours, theirs = handing_over(role, pki)
    goes_on(ours, theirs)


def test_data_in_the_same_segment_as_the_last_message_of_the_handshake_counts(pki: Pki) -> None:
    ours, theirs = made(*pairs.presenting(pki.server)), pairs.client()
    assert isinstance(ours, HandoverEngine)
    while not theirs.handshake():
        ours.feed(pairs.drain(theirs))
        ours.handshake()
        theirs.feed(pairs.drain(ours))
    pairs.write(theirs, b"first")
    pairs.write(theirs, b"second")
    ours.feed(pairs.drain(theirs))
    assert ours.handshake()
    theirs.feed(pairs.drain(ours))
    assert pairs.read(theirs) == b""
    assert pairs.read(ours) == b"firstsecond"
    goes_on(ours, theirs)


@pytest.mark.parametrize("role", ["server", "client"])
def test_a_resumed_connection_is_handed_over_as_well(role: str, pki: Pki) -> None:
    lines = pairs.presenting(pki.server)
    kernel = {"client": lambda: role == "client", "server": lambda: role == "server"}
    client = context.build(pairs.service(KTLS, client=True), None, kernel["client"])
    server = context.build(pairs.service(KTLS, *lines), None, kernel["server"])
    first = pairs.met(client.engine(), server.engine())
    first.deliver(first.server)
    pairs.read(first.client)
    first.client.close()
    again = pairs.met(client.engine(session=first.client.session()), server.engine())
    assert again.server.reused
    again.deliver(again.server)
    assert pairs.read(again.client) == b""
    ours, theirs = (again.server, again.client) if role == "server" else (again.client, again.server)
    assert isinstance(ours, HandoverEngine)
    goes_on(ours, theirs)


def test_a_record_that_has_begun_is_no_boundary_and_what_is_missing_leads_to_one(pki: Pki) -> None:
    ours, theirs = handing_over("server", pki)
    pairs.write(theirs, b"z" * 1000)
    sealed = pairs.drain(theirs)
    ours.feed(sealed[:3])
    assert pairs.read(ours) == b""
    assert (ours.is_at_boundary, ours.missing) == (False, 2)
    ours.feed(sealed[3:5])
    assert pairs.read(ours) == b""
    assert ours.missing == len(sealed) - 5
    ours.feed(sealed[5:])
    assert not ours.is_at_boundary
    assert pairs.read(ours) == b"z" * 1000
    goes_on(ours, theirs)


def test_what_is_still_to_be_sent_is_no_boundary(pki: Pki) -> None:
    ours, theirs = handing_over("server", pki)
    pairs.write(ours, b"x")
    assert not ours.is_at_boundary
    theirs.feed(pairs.drain(ours))
    assert pairs.read(theirs) == b"x"
    goes_on(ours, theirs)


def test_an_end_is_no_boundary(pki: Pki) -> None:
    ours, theirs = handing_over("server", pki)
    ours.close()
    pairs.drain(ours)
    assert not ours.is_at_boundary
    ours, theirs = handing_over("server", pki)
    theirs.close()
    ours.feed(pairs.drain(theirs))
    assert pairs.read(ours) == b""
    assert not ours.is_at_boundary


def test_miscounted_records_or_other_keys_are_found_out(pki: Pki) -> None:
    """As after a key update, which cannot be seen: then it stays OpenSSL's, and goes on."""
    ours, theirs = handing_over("server", pki)
    cross(theirs, ours, b"one")
    assert ours._received is not None
    ours._received.count += 1
    assert ours.let_go() is None
    assert not ours.can_let_go
    cross(theirs, ours, b"two")
    cross(ours, theirs, b"three")


def test_tls_1_2_keeps_its_engine(pki: Pki) -> None:
    ours, theirs = handing_over("server", pki, "sslVersionMax = TLSv1.2")
    assert not ours.can_let_go
    assert ours.let_go() is None
    cross(theirs, ours, b"still here")


def test_a_cipher_that_the_kernel_does_not_know_keeps_its_engine(pki: Pki) -> None:
    ours, theirs = handing_over("server", pki, "ciphersuites = TLS_AES_128_CCM_SHA256")
    assert ours.let_go() is None
    cross(theirs, ours, b"still here")


def test_keys_are_given_once_and_not_shown(pki: Pki) -> None:
    ours, _ = handing_over("server", pki)
    keys = ours.let_go()
    assert keys is not None
    assert ours.let_go() is None
    assert repr(keys) == "Keys()"


def test_openssl_learns_of_the_farewells_that_others_said(pki: Pki) -> None:
    ours, _ = handing_over("client", pki)
    ours.let_go()
    assert not ours.has_said_farewell
    ours.tell_farewell(sent=True)
    assert ours.has_said_farewell


def test_a_key_log_still_gets_its_lines(pki: Pki, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    ours, theirs = handing_over("server", pki, f"keylog = {file}")
    goes_on(ours, theirs)
    assert file.read_text().count("TRAFFIC_SECRET_0") >= 2


def test_without_the_option_or_a_kernel_nothing_is_different(pki: Pki) -> None:
    lines = pairs.presenting(pki.server)
    for settings, has in ((pairs.service(KTLS, *lines), bool), (pairs.service(*lines), lambda: True)):
        built = context.build(settings, None, has)
        assert not built.kernel
        assert type(built.engine()) is TlsEngine
    assert context.build(pairs.service("config = Options:KTLS", *lines), None, lambda: True).kernel
    assert not context.build(pairs.service(KTLS, "options = -ENABLE_KTLS", *lines), None, lambda: True).kernel
