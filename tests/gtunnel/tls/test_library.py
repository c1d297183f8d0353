"""OpenSSL set up for the process: what lines ask for, or why not, with the line. Nothing here changes the process."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gtunnel.conf.load import parse_text
from gtunnel.conf.settings import LibrarySettings
from gtunnel.events import Level, Log
from gtunnel.tls import library
from gtunnel.tls.library import LIBRARY, LibraryError, prepare
from gtunnel.tls.openssl import engines, native
from gtunnel.tls.openssl import library as of_openssl

shared = pytest.mark.skipif(not native.SHARED, reason="this OpenSSL is linked statically into the bindings")
SEED = b"x" * 700


class Notes:
    """A log that keeps what it is told."""

    threshold = Level.DEBUG

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, level: Level, message: str) -> None:  # noqa: ARG002
        self.lines.append(message)

    def named(self, identifier: str) -> Log:  # noqa: ARG002
        return self


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """What a test named is forgotten again."""
    yield
    LIBRARY.engines.clear()
    LIBRARY.done = ()


def settings(*lines: str) -> LibrarySettings:
    text = "\n".join((*lines, "[x]", "client = yes", "accept = 1", "connect = 2", ""))
    return parse_text(text).library


def refusal(*lines: str) -> str:
    with pytest.raises(LibraryError) as caught:
        prepare(settings(*lines), Notes())
    return str(caught.value)


def test_nothing_asked_for_is_nothing_done() -> None:
    notes = Notes()
    prepare(settings("fips = no"), notes)
    assert notes.lines == []


@pytest.mark.skipif(native.SHARED, reason="this OpenSSL is a shared library")
@pytest.mark.parametrize("line", ["engine = pkcs11", "engine = auto", "provider = legacy", "fips = yes"])
def test_a_static_openssl_is_refused_with_what_would_help(line: str) -> None:
    text = refusal("debug = info", line)
    assert ':2: "' in text
    assert line in text
    assert text.endswith("use the distribution's own python3-openssl (docs/debian.md)")


@shared
def test_an_engine_that_is_not_there_is_named_with_its_line() -> None:
    if not engines.AVAILABLE:
        assert "use a provider" in refusal("engine = no-such")
    else:
        assert '"engine = no-such": ' in refusal("engine = no-such")


@shared
def test_a_command_without_an_engine() -> None:
    text = refusal("engineCtrl = PIN:hunter2")
    assert text.endswith("No engine was defined")
    assert "hunter2" not in text


@pytest.mark.skipif(of_openssl.has_fips() or not native.SHARED, reason="needs a shared OpenSSL without FIPS")
def test_fips_without_a_provider() -> None:
    assert '"fips = yes": there is no FIPS provider' in refusal("fips = yes")


@shared
def test_a_provider_that_is_not_there() -> None:
    assert '"provider = no-such": ' in refusal("provider = no-such")


@shared
def test_a_parameter_of_a_provider_that_is_not_named() -> None:
    text = refusal("providerParameter = p:pin=hunter2")
    assert text.endswith("there is no line provider = p")
    assert "hunter2" not in text


def test_a_seed_file_is_read_and_replaced(tmp_path: Path) -> None:
    file = tmp_path / "seed"
    file.write_bytes(SEED)
    file.chmod(0o644)
    prepare(settings(f"RNDfile = {file}"), Notes())
    assert file.read_bytes() != SEED
    assert file.stat().st_size == len(SEED)
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_seed_file_stays_where_it_is_to_stay(tmp_path: Path) -> None:
    file = tmp_path / "seed"
    file.write_bytes(SEED)
    prepare(settings(f"RNDfile = {file}", "RNDoverwrite = no"), Notes())
    prepare(settings(f"RNDfile = {file}"), Notes(), change=False)
    assert file.read_bytes() == SEED


def test_only_as_much_is_read_as_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    added: list[bytes] = []
    monkeypatch.setattr(of_openssl, "add_randomness", added.append)
    file = tmp_path / "seed"
    file.write_bytes(SEED)
    prepare(settings(f"RNDfile = {file}", "RNDbytes = 10"), Notes())
    assert added == [SEED[:10]]


def test_what_a_link_leads_to_is_not_overwritten(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(SEED)
    (tmp_path / "link").symlink_to(other)
    notes = Notes()
    prepare(settings(f"RNDfile = {tmp_path}/link"), notes)
    assert other.read_bytes() == SEED
    assert len(notes.lines) == 1


def test_a_seed_file_that_is_none_is_a_warning(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name in ("none", "fifo", "."):
        notes = Notes()
        prepare(settings(f"RNDfile = {tmp_path}/{name}"), notes)
        assert all(line.startswith(f"RNDfile = {tmp_path}/{name}: ") for line in notes.lines)
        assert notes.lines or name == "fifo"


def test_an_engine_is_found_by_its_id_and_its_number() -> None:
    class Known:
        identifier = "known"

    found = library.Library(engines=[Known()])  # type: ignore[list-item]
    assert found.engine("known", None) is found.engine(None, 1) is not None
    assert found.engine("other", None) is found.engine(None, 2) is found.engine(None, None) is None
