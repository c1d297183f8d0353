"""Files and directories of certificates to trust."""

from pathlib import Path

import pytest

from gtunnel.tls import context
from gtunnel.tls.errors import TlsSetupError
from gtunnel.tls.openssl import native
from gtunnel.tls.site import Site
from tests.gtunnel.tls.pairs import Meeting, client, met, presenting, server, service
from tests.support.certificates import Pki


def refusal(*lines: str, client_side: bool = False) -> str:
    """Why a service with these lines is not compiled."""
    with pytest.raises(TlsSetupError) as caught:
        context.build(service(*lines, client=client_side))
    return str(caught.value)


def test_a_trust_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    text = refusal(f"CApath = {tmp_path}/none", "verifyChain = yes", client_side=True)
    assert text == f"CApath = {tmp_path}/none: No such file or directory"


def test_a_trust_directory_that_is_a_file_is_named(pki: Pki) -> None:
    text = refusal(f"CApath = {pki.ca}", "verifyChain = yes", client_side=True)
    assert text == f"CApath = {pki.ca}: Not a directory"


def test_a_jail_is_mentioned_where_a_file_is_missing_inside(tmp_path: Path) -> None:
    lines = ("verifyChain = yes", f"CAfile = {tmp_path}/ca.pem", f"CApath = {tmp_path}/certs")
    with pytest.raises(TlsSetupError) as caught:
        context.build(service(*lines, client=True), Site(chroot="/jail", confined=True))
    missing = "No such file or directory (inside the chroot /jail)"
    assert str(caught.value).splitlines() == [
        f"CAfile = {tmp_path}/ca.pem: {missing}",
        f"CApath = {tmp_path}/certs: {missing}",
    ]


@pytest.mark.parametrize("demand", ["verifyChain = yes", "verifyPeer = yes"])
@pytest.mark.parametrize("form", ["{}", "file:{}", "file://{}"])
def test_a_store_may_be_a_file(pki: Pki, form: str, demand: str) -> None:
    file = pki.ca if demand.startswith("verifyChain") else pki.server.cert
    lines = (demand, f"CAstore = {form.format(file)}")
    met(client(*lines), server(*presenting(pki.server)))
    assert not Meeting(client(*lines), server(*presenting(pki.stranger_server))).shake().agreed


def test_a_store_may_be_a_directory(pki: Pki, tmp_path: Path) -> None:
    (tmp_path / "any-name").write_bytes(pki.ca.read_bytes())
    met(client("verifyChain = yes", f"CAstore = {tmp_path}"), server(*presenting(pki.server)))


def test_a_store_that_cannot_be_had_is_named(tmp_path: Path) -> None:
    lines = ("verifyChain = yes", f"CAstore = file:{tmp_path}/none")
    assert refusal(*lines, client_side=True) == f"CAstore = {tmp_path}/none: No such file or directory"
    text = refusal("verifyChain = yes", "CAstore = pkcs11:object=ca", client_side=True)
    if native.SHARED:
        assert text.startswith("CAstore = pkcs11:object=ca: STORE routines::unregistered scheme")
    else:
        assert "only file: URIs work" in text
    text = refusal("verifyPeer = yes", "CAstore = pkcs11:object=ca", client_side=True)
    assert text == "CAstore = pkcs11:object=ca: verifyPeer needs CAfile, CApath or a file: URI"
