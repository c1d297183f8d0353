"""Which files count."""

from gtunnel.tls.files import files_of
from tests.gtunnel.tls.pairs import service


def test_all_files_of_tls_are_named_once() -> None:
    lines = ("cert = c", "verifyChain = yes", "CAfile = ca", "CApath = cas", "CAstore = file:store")
    lists = ("CRLfile = crl", "CRLpath = crls", "PSKsecrets = psk")
    assert files_of(service(*lines, *lists)) == ("c", "psk", "ca", "cas", "store", "crl", "crls")
    assert files_of(service("cert = c", "key = k")) == ("c", "k")


def test_what_is_no_file_is_not() -> None:
    assert files_of(service("verifyChain = yes", "CAstore = pkcs11:x", client=True)) == ()
