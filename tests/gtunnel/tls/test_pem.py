"""Certificates out of PEM text: one, many, with other things between them, or none."""

import pytest

from gtunnel.tls import pem
from tests.support.certificates import Pki


def test_all_certificates_in_their_order(pki: Pki) -> None:
    identities = (pki.server, pki.client, pki.server)
    content = b"a remark\n".join(identity.cert.read_bytes() + identity.key.read_bytes() for identity in identities)
    leaves = [identity.certificate for identity in identities]
    assert [found for found in pem.certificates(content) if found in leaves] == leaves


def test_the_older_label(pki: Pki) -> None:
    content = pki.self_signed.cert.read_bytes().replace(b" CERTIFICATE", b" X509 CERTIFICATE")
    try:
        found = pem.certificates(content)
    except ValueError:
        pytest.skip("this cryptography does not read it")
    assert found == [pki.self_signed.certificate]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello\n",
        b"-----BEGIN CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ],
)
def test_what_is_no_certificate_is_a_value_error(content: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - cryptography's words differ
        pem.certificates(content)


def test_one_that_is_damaged_spoils_all(pki: Pki) -> None:
    content = pki.self_signed.cert.read_bytes()
    with pytest.raises(ValueError):  # noqa: PT011 - cryptography's words differ
        pem.certificates(content + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
