"""The demonstration's certificate convinces who trusts it, for its names and no others."""

import ssl
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509

from gtunnel.demo.certificate import make
from tests.support import tls
from tests.support.certificates import Identity
from tests.support.servers import Server


def identity(directory: Path) -> Identity:
    """The certificate under test, as the tests' TLS server takes it."""
    made = make(directory, "localhost", ("127.0.0.1", "2001:db8::1"))
    certificate = x509.load_pem_x509_certificate(made.cert.read_bytes())
    return Identity(cert=made.cert, key=made.key, pem=made.cert, certificate=certificate)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "2001:db8::1"])
def test_it_is_good_for_each_of_its_names(tmp_path: Path, server: Callable[..., Server], name: str) -> None:
    made = identity(tmp_path)
    serving = server(tls.serve(tls.tls_echo, tls.server_context(made)))
    with tls.connect(serving.port, tls.client_context(str(made.cert)), name=name) as peer:
        assert peer.tls.version() == "TLSv1.3"


def test_it_is_bad_for_another_name(tmp_path: Path, server: Callable[..., Server]) -> None:
    made = identity(tmp_path)
    serving = server(tls.serve(tls.tls_echo, tls.server_context(made)))
    with pytest.raises(ssl.SSLCertVerificationError):
        tls.connect(serving.port, tls.client_context(str(made.cert)), name="example.org")


def test_nobody_else_reads_the_key(tmp_path: Path) -> None:
    assert stat.S_IMODE(make(tmp_path, "x", ()).key.stat().st_mode) == 0o600
