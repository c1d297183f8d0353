"""Files and directories of certificates to trust."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gtunnel.tls import context
from gtunnel.tls.errors import TlsSetupError
from tests.gtunnel.tls.pairs import service
from tests.support.certificates import Identity, Pki


def refusal(*lines: str, client_side: bool = False) -> str:
    """Why a service with these lines is not compiled."""
    with pytest.raises(TlsSetupError) as caught:
        context.build(service(*lines, client=client_side))
    return str(caught.value)


def private_key(identity: Identity) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(identity.key.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def test_a_trust_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    text = refusal(f"CApath = {tmp_path}/none", "verifyChain = yes", client_side=True)
    assert text == f"CApath = {tmp_path}/none: No such file or directory"


def test_a_trust_directory_that_is_a_file_is_named(pki: Pki) -> None:
    text = refusal(f"CApath = {pki.ca}", "verifyChain = yes", client_side=True)
    assert text == f"CApath = {pki.ca}: Not a directory"
