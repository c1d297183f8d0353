"""Pre-shared keys: the file, and handshakes by them."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtunnel.tls import context
from gtunnel.tls.errors import TlsSetupError
from gtunnel.tls.psk import Key, parse
from tests.gtunnel.tls.pairs import Meeting, met, presenting, service, verdicts
from tests.support.certificates import Pki

HEX, TEXT = "00112233445566778899aabbccddeeff", "sixteen letters!"
VERSIONS = ["TLSv1.2", "TLSv1.3"]


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    file = tmp_path / "psk.txt"
    file.write_text(f"one:{HEX}\ntwo:{TEXT}\none:{'f' * 32}\n")
    file.chmod(0o600)
    return file


def meet(server: list[str], client: list[str]) -> Meeting:
    one, other = context.build(service(*client, client=True)), context.build(service(*server))
    return Meeting(one.engine(), other.engine()).shake()


def test_keys_are_text_or_hexadecimal() -> None:
    keys = parse(f"a b:{HEX}\n\nc:{TEXT}\r\nd::{HEX}".encode(), "f")
    assert keys == (
        Key(b"a b", bytes.fromhex(HEX)),
        Key(b"c", TEXT.encode()),
        Key(b"d", b":" + HEX.encode()),
    )
    assert TEXT not in repr(keys)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (f"a:{HEX}\nhunter2", "f line 2: Not in identity:key format"),
        (f":{HEX}", "f line 1: Not in identity:key format"),
        ("a:hunter2hunter", "f line 1: Key shorter than 16 bytes"),
        (f"a:{HEX[2:]}", "f line 1: Key shorter than 16 bytes"),
        (f"a:{'0' * 514}", "f line 1: Key longer than 256 bytes"),
        (f"{'a' * 257}:{HEX}", "f line 1: Identity longer than 256 bytes"),
        ("\n", "No PSK identities found"),
    ],
)
def test_a_line_that_is_wrong_is_told_by_its_number_alone(content: str, reason: str) -> None:
    with pytest.raises(TlsSetupError) as caught:
        parse(content.encode(), "f")
    assert reason in str(caught.value)
    assert "hunter2" not in str(caught.value)


@given(st.binary(max_size=200))
def test_any_file_is_taken_or_refused(content: bytes) -> None:
    try:
        assert parse(content, "f")
    except TlsSetupError:
        return


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("identity", ["one", "two"])
def test_both_sides_know_the_key(secrets: Path, version: str, identity: str) -> None:
    lines = [f"PSKsecrets = {secrets}", f"sslVersion = {version}"]
    meeting = meet(lines, [*lines, f"PSKidentity = {identity}"])
    assert meeting.agreed
    assert meeting.client.by_shared_key
    assert meeting.server.by_shared_key
    assert meeting.server.convinces(require=True)
    assert f'Key configured for PSK identity "{identity}"' in verdicts(meeting.server)


def test_a_client_takes_the_first_key_if_it_is_not_told_which(secrets: Path) -> None:
    meeting = meet([f"PSKsecrets = {secrets}"], [f"PSKsecrets = {secrets}"])
    assert meeting.agreed
    assert any('"one"' in line for line in verdicts(meeting.server))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_wrong_key_or_an_unknown_name_is_refused(secrets: Path, tmp_path: Path, version: str) -> None:
    for line in (f"one:{os.urandom(16).hex()}", f"three:{HEX}"):
        other = tmp_path / "other.txt"
        other.write_text(line)
        meeting = meet([f"PSKsecrets = {secrets}"], [f"PSKsecrets = {other}", f"sslVersion = {version}"])
        assert not meeting.agreed
        assert meeting.errors


def test_an_identity_that_the_file_has_not_got_is_named(secrets: Path) -> None:
    with pytest.raises(TlsSetupError, match=r"PSKidentity = three: No key found in .*psk\.txt"):
        context.build(service(f"PSKsecrets = {secrets}", "PSKidentity = three", client=True))


def test_a_key_that_was_offered_but_not_used_proves_nothing(pki: Pki, secrets: Path) -> None:
    lines = [*presenting(pki.server), f"PSKsecrets = {secrets}", "ciphersuites = TLS_AES_256_GCM_SHA384"]
    meeting = meet(lines, [f"PSKsecrets = {secrets}"])
    assert meeting.agreed
    assert not meeting.client.by_shared_key
    assert not meeting.server.by_shared_key
    assert not meeting.server.convinces(require=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_that_began_with_a_key_is_resumed(secrets: Path, version: str) -> None:
    lines = [f"PSKsecrets = {secrets}", f"sslVersion = {version}"]
    client, server = context.build(service(*lines, client=True)), context.build(service(*lines))
    first = met(client.engine(), server.engine())
    again = met(client.engine(session=first.client.session()), server.engine())
    assert again.server.by_shared_key
