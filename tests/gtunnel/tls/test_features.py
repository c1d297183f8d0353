"""What is said about this machine's OpenSSL."""

import ssl

import pytest

from gtunnel.conf.load import parse_text
from gtunnel.tls import features
from gtunnel.tls.errors import OpensslUnfitError


def test_the_library_names_its_version() -> None:
    assert features.library_version().startswith(f"{ssl.OPENSSL_VERSION.split()[0]} ")
    assert len(features.library_version().split()) >= 3


def test_bindings_and_platform_are_named() -> None:
    assert features.built_with().startswith("pyOpenSSL ")
    assert "platform: " in features.built_with()


def test_this_machine_s_openssl_will_do() -> None:
    features.demand()


def test_bindings_that_cannot_choose_groups_are_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gtunnel.tls.openssl.binding.can_set_groups", lambda: False)
    with pytest.raises(OpensslUnfitError, match=r"in cryptography \d.*: install cryptography 47 or newer, or use"):
        features.demand()


def test_every_listed_option_can_stand_in_a_configuration() -> None:
    names = features.option_names()
    assert "NO_TLSv1_2" in names
    lines = "".join(f"options = {name}\n" for name in names)
    service = parse_text(f"[x]\nclient = yes\naccept = 1\nconnect = 2\n{lines}").services[0]
    assert set(names) <= {name for name, enabled in service.tls.options if enabled}
