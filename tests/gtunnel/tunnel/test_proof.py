from pathlib import Path

import pytest

from gtunnel.tls.errors import TlsSetupError
from gtunnel.tls.site import Site
from gtunnel.tunnel import proof
from tests.gtunnel.conf.samples import configuration


def load(file: Path) -> object:
    text = f"[s]\naccept = 1\ncert = x\nprotocol = socks\nsocksUsers = {file}\n"
    return proof.load(configuration(text).services[0], Site())


def test_the_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "users"
    file.write_text("me:hunter2\n")
    assert load(file) is not None


def test_what_is_wrong_with_it_is_told_without_its_secrets(tmp_path: Path) -> None:
    file = tmp_path / "users"
    with pytest.raises(TlsSetupError, match="No such file"):
        load(file)
    file.write_text("hunter2\n")
    with pytest.raises(TlsSetupError, match="line 1: Not in user:password format") as raised:
        load(file)
    assert "hunter2" not in str(raised.value)
