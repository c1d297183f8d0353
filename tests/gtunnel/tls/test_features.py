"""What is said about this machine's OpenSSL."""

import ssl

from gtunnel.conf.load import parse_text
from gtunnel.tls import features


def test_the_library_names_its_version() -> None:
    assert features.library_version().startswith(f"{ssl.OPENSSL_VERSION.split()[0]} ")
    assert len(features.library_version().split()) >= 3


def test_bindings_and_platform_are_named() -> None:
    assert features.built_with().startswith("pyOpenSSL ")
    assert "platform: " in features.built_with()


def test_every_listed_option_can_stand_in_a_configuration() -> None:
    names = features.option_names()
    assert "NO_TLSv1_2" in names
    lines = "".join(f"options = {name}\n" for name in names)
    service = parse_text(f"[x]\nclient = yes\naccept = 1\nconnect = 2\n{lines}").services[0]
    assert set(names) <= {name for name, enabled in service.tls.options if enabled}
