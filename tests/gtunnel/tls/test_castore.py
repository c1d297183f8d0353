"""What a CAstore names."""

from pathlib import Path

import pytest

from gtunnel.tls.castore import store_files, store_path
from gtunnel.tls.errors import TlsSetupError
from gtunnel.tls.site import Site
from tests.support.certificates import Pki


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("/etc/ssl/ca.pem", "/etc/ssl/ca.pem"),
        ("ca.pem", "ca.pem"),
        ("file:/etc/ssl/ca.pem", "/etc/ssl/ca.pem"),
        ("file:///etc/ssl/our%20ca.pem", "/etc/ssl/our ca.pem"),
        ("file://localhost/etc/ssl", "/etc/ssl"),
        ("file:ca.pem", "ca.pem"),
    ],
)
def test_a_file_is_named_by_its_path_or_its_uri(uri: str, path: str) -> None:
    assert store_path(uri) == Path(path)


@pytest.mark.parametrize("uri", ["pkcs11:object=ca", "file://elsewhere/ca.pem", "org.openssl.winstore://"])
def test_everything_else_is_for_openssl(uri: str) -> None:
    assert store_path(uri) is None


def test_a_directory_is_all_files_with_certificates_in_it(pki: Pki, tmp_path: Path) -> None:
    (tmp_path / "b.pem").write_bytes(pki.ca.read_bytes())
    (tmp_path / "a.pem").write_bytes(pki.stranger.ca_file.read_bytes())
    (tmp_path / "README").write_text("hello")
    (tmp_path / "key").write_bytes(pki.server.key.read_bytes())
    (tmp_path / "more").mkdir()
    assert store_files(tmp_path, Site()) == [tmp_path / "a.pem", tmp_path / "b.pem"]
    assert store_files(tmp_path / "README", Site()) == [tmp_path / "README"]


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TlsSetupError, match=r"^CAstore = .*/none: No such file or directory$"):
        store_files(tmp_path / "none", Site())
