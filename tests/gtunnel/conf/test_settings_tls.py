"""What is said about TLS, and what follows from it."""

import pytest

from gtunnel.conf.settings import VerificationSettings, VirtualName


def test_a_peer_has_to_convince_where_a_chain_or_the_certificate_itself_is_checked() -> None:
    files = dict.fromkeys(("ca_file", "ca_path", "ca_store", "ca_engine", "crl_file", "crl_path"))
    nothing = {**files, "hosts": (), "ips": (), "emails": ()}
    for chain, peer in ((False, False), (True, False), (False, True)):
        settings = VerificationSettings(request=True, require=True, chain=chain, peer=peer, **nothing)  # type: ignore[arg-type]
        assert settings.convincing is (chain or peer)


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("www.example.org", "WWW.example.org", True),
        ("www.example.org", "www.example.org.", False),
        ("*.example.org", "a.b.Example.org", True),
        ("*.example.org", "example.org", False),
        ("*", "anything", True),
        ("example.org", "www.example.org", False),
    ],
)
def test_a_pattern_is_a_name_or_the_end_of_one(pattern: str, name: str, *, matches: bool) -> None:
    assert VirtualName("p", pattern).matches(name) is matches
