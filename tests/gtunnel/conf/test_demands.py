from gtunnel.conf.demands import demand, has_trust, version_bounds, versions_ascend
from gtunnel.conf.options_tls import SSL_VERSION_MAX, VersionChange
from gtunnel.conf.options_verify import CA_PATH, NO_DEMAND, VERIFY_CHAIN, Demand
from gtunnel.conf.settings import Place, TlsVersion
from gtunnel.conf.statements import Statement, Statements


def test_nothing_is_demanded_without_a_line() -> None:
    assert demand(Statements([])) == NO_DEMAND
    assert not has_trust(Statements([]))
    assert version_bounds(Statements([])) == (TlsVersion.TLSV1, TlsVersion.ALL)


def test_inherited_lines_take_effect_first() -> None:
    place = Place("f", 1)
    inherited = Statements([Statement(VERIFY_CHAIN, Demand(request=True, chain=True), place, "")])
    statements = Statements([Statement(VERIFY_CHAIN, Demand(chain=False), place, "")], inherited)
    assert demand(statements) == Demand(request=True, require=False, chain=False, peer=False)


def test_one_place_with_certificates_is_enough() -> None:
    assert has_trust(Statements([Statement(CA_PATH, "/certs", Place("f", 1), "")]))


def test_a_bound_that_a_line_does_not_mention_stays() -> None:
    change = VersionChange(high=TlsVersion.TLSV1_2)
    statements = Statements([Statement(SSL_VERSION_MAX, change, Place("f", 1), "")])
    assert version_bounds(statements) == (TlsVersion.TLSV1, TlsVersion.TLSV1_2)


def test_bounds_ascend_unless_the_oldest_is_newer_than_the_newest() -> None:
    assert versions_ascend(TlsVersion.TLSV1_2, TlsVersion.TLSV1_2)
    assert versions_ascend(TlsVersion.TLSV1_3, TlsVersion.ALL)
    assert versions_ascend(TlsVersion.ALL, TlsVersion.SSLV3)
    assert not versions_ascend(TlsVersion.TLSV1_3, TlsVersion.TLSV1_2)
