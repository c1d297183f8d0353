"""What is said about this machine's OpenSSL."""

import ssl

import cryptography
import pytest

from gtunnel.conf.load import parse_text
from gtunnel.tls import features
from gtunnel.tls.errors import OpensslUnfitError
from gtunnel.tls.openssl import native


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


def test_features_are_what_this_build_has() -> None:
    found = {feature.name: feature for feature in features.features()}
    assert {"X25519", "P-256"} <= set(found["groups"].answer.split())
    assert found["engines"].present is native.has("ENGINE_by_id")
    assert found["providers"].present is native.SHARED
    assert found["compression"].answer.startswith("no")
    assert found["OpenSSL"].answer.endswith("shared library" if native.SHARED else cryptography.__version__)
    assert all(feature.answer for feature in found.values())


def test_the_summary_names_what_is_absent() -> None:
    text = features.summary()
    assert text.startswith(features.library_version())
    assert ("engines" in text) is not native.has("ENGINE_by_id")
    assert "compression" not in text


def test_every_listed_option_can_stand_in_a_configuration() -> None:
    names = features.option_names()
    assert "NO_TLSv1_2" in names
    lines = "".join(f"options = {name}\n" for name in names)
    service = parse_text(f"[x]\nclient = yes\naccept = 1\nconnect = 2\n{lines}").services[0]
    assert set(names) <= {name for name, enabled in service.tls.options if enabled}
