"""The key log: whose it is, and what is in it."""

import os
import stat
from pathlib import Path

import pytest

from gtunnel.tls import context
from gtunnel.tls.errors import TlsSetupError
from gtunnel.tls.keylog import KeyLog
from tests.gtunnel.tls.pairs import client, met, presenting, server, service
from tests.support.certificates import Pki


@pytest.mark.parametrize(("version", "label"), [("TLSv1.2", "CLIENT_RANDOM"), ("TLSv1.3", "CLIENT_TRAFFIC_SECRET_0")])
def test_both_roles_write_the_same_keys(pki: Pki, tmp_path: Path, version: str, label: str) -> None:
    ours, theirs = tmp_path / "client", tmp_path / "server"
    met(
        client(f"sslVersion = {version}", f"keylog = {ours}"),
        server(*presenting(pki.server), f"keylog = {theirs}"),
    )
    assert label in ours.read_text()
    assert set(ours.read_text().splitlines()) == set(theirs.read_text().splitlines())
    assert stat.S_IMODE(ours.stat().st_mode) == 0o600


def test_it_is_appended_to(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("before\n")
    KeyLog(str(file)).write(b"after")
    assert file.read_text() == "before\nafter\n"


def test_a_file_that_cannot_be_written_is_told(pki: Pki, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    for file in (tmp_path / "none" / "keys", tmp_path, link):
        with pytest.raises(TlsSetupError, match=r"^keylog = "):
            context.build(service(*presenting(pki.server), f"keylog = {file}"))
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.root
def test_a_file_of_somebody_else_is_not_used(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.touch()
    os.chown(file, 65534, -1)
    with pytest.raises(TlsSetupError, match="it belongs to another user"):
        KeyLog(str(file))
