import pytest

from gtunnel.conf.settings import NetBackend, NetSettings, Place, Transparency, VerificationSettings, VirtualName
from tests.gtunnel.conf.samples import client


def test_a_place_reads_as_editors_take_it() -> None:
    assert str(Place("/etc/x.conf", 12)) == "/etc/x.conf:12"


def test_both_is_source_and_destination() -> None:
    assert [(one.source, one.destination) for one in Transparency] == [
        (False, False),
        (True, False),
        (False, True),
        (True, True),
    ]


def test_our_own_mark_is_the_second_of_three() -> None:
    net = NetSettings(backend=NetBackend.AUTO, mark=0x1000, mask=0xF000, table=100, priority=5000)
    assert net.own_mark == 0x2000


def test_a_peer_has_to_convince_where_a_chain_or_the_certificate_itself_is_checked() -> None:
    files = dict.fromkeys(("ca_file", "ca_path", "ca_store", "ca_engine", "crl_file", "crl_path"))
    nothing = {**files, "hosts": (), "ips": (), "emails": ()}
    for chain, peer in ((False, False), (True, False), (False, True)):
        settings = VerificationSettings(request=True, require=True, chain=chain, peer=peer, **nothing)  # type: ignore[arg-type]
        assert settings.convincing is (chain or peer)


def test_where_a_line_stands_makes_no_other_service() -> None:
    one, two = client("delay = yes"), client("", "delay = yes")
    assert one.lines != two.lines
    assert one == two


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
