"""From settings to a context: what OpenSSL does not take is named with its file or option, before anything runs."""

import contextlib
import gc
import weakref
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gtunnel.tls import context
from gtunnel.tls.errors import TlsSetupError
from tests.gtunnel.tls.pairs import client, met, presenting, service
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


def test_all_that_is_wrong_is_told_together(tmp_path: Path) -> None:
    lines = [f"{option} = {tmp_path}/no-{option}" for option in ("cert", "key", "CAfile", "CApath")]
    other = ["options = TLS_ROLLBACK_BUG", "ciphers = NONE", "ciphersuites = x", "curves = x"]
    with pytest.raises(TlsSetupError) as caught:
        context.build(service(*lines, *other, "verifyChain = yes"))
    found = {problem.option for problem in caught.value.problems}
    assert found >= {"cert", "key", "CAfile", "CApath", "ciphers", "ciphersuites", "curves"}
    assert str(caught.value).splitlines() == [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("line", "host", "name"),
    [
        (None, "www.example.org", "www.example.org"),
        (None, "192.0.2.1", None),
        (None, "2001:db8::1", None),
        (None, "fe80::1%eth0", None),
        (None, None, None),
        (None, "", None),
        ("sni = other.example", "www.example.org", "other.example"),
        ("sni = other.example", None, "other.example"),
        ("sni =", "www.example.org", None),
        ("sni = 192.0.2.1", "www.example.org", None),
    ],
)
def test_the_server_name_of_a_client(line: str | None, host: str | None, name: str | None) -> None:
    assert context.build(service(*filter(None, [line]), client=True)).server_name(host) == name


def test_a_server_sends_no_name(pki: Pki) -> None:
    assert context.build(service(*presenting(pki.server))).server_name("www.example.org") is None


def test_a_service_s_name_of_any_length_is_a_session_context(pki: Pki) -> None:
    settings = service(*presenting(pki.server), f"service = {'ü' * 20}")
    met(client(), context.build(settings).engine())


@pytest.mark.parametrize("lines", [["cert = /none"], ["cert = /none", "key = /no", "CAfile = /none"]])
def test_a_failure_keeps_nothing_alive(lines: list[str]) -> None:
    class Witness:
        pass

    def build() -> "weakref.ref[Witness]":
        witness = Witness()
        with contextlib.suppress(TlsSetupError):
            context.build(service(*lines))
        return weakref.ref(witness)

    gc.disable()
    try:
        assert build()() is None
    finally:
        gc.enable()
