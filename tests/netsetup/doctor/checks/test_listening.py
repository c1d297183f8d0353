import pytest

from netsetup.doctor.checks.listening import check, takes
from netsetup.doctor.facts import Owner
from netsetup.model import Method
from netsetup.state import Family
from tests.netsetup.doctor.cases import OWNER, capturing, facts, keeping, listening, only, titles

WEAK = Owner(pid=78, name="proxy", may_be_transparent=False)


@pytest.mark.parametrize("method", [Method.TPROXY, Method.REDIRECT])
def test_nothing_is_wrong(method: Method) -> None:
    assert list(check(facts(capturing(method, local=True, source=True)))) == []
    dual = (listening("::", v6only=False),)
    assert list(check(facts(capturing(method), sockets=dual))) == []


def test_nobody_listens() -> None:
    assert titles(check(facts(sockets=(listening(),)))) == ["error: [web] IPv6: nobody listens on port 9443"]
    assert titles(check(facts(sockets=(listening("::"),)))) == ["error: [web] IPv4: nobody listens on port 9443"]
    assert titles(check(facts(keeping("198.51.100.2"), sockets=()))) == [
        "error: [keep] IPv4: nobody listens on port 9443"
    ]


def test_listening_elsewhere() -> None:
    found = list(check(facts(sockets=(listening("127.0.0.1"), listening("::")))))
    assert titles(found) == ["error: [web] IPv4: the listener cannot be reached at 192.0.2.1:9443 (for eth1)"]
    assert found[0].evidence == ("listening: 127.0.0.1:9443, gtunnel (pid 77)",)
    tied = only(check(facts(sockets=(listening(interface=3), listening("::")))))
    assert tied.evidence == ("listening: 0.0.0.0:9443 on eth2 only, gtunnel (pid 77)",)


def test_not_transparent_matters_for_tproxy_only() -> None:
    sockets = (listening(transparent=False), listening("::"))
    found = only(check(facts(sockets=sockets)))
    assert found.title == "[web] IPv4: the listener is not transparent (IP_TRANSPARENT)"
    assert "gtunnel (pid 77)" in found.evidence[0]
    assert list(check(facts(capturing(Method.REDIRECT), sockets=sockets))) == []
    unknown = (listening(transparent=None), listening("::"))
    assert list(check(facts(sockets=unknown))) == []


def test_rights_matter_where_the_proxy_has_to_use_them() -> None:
    owners = {500: (OWNER, WEAK)}
    assert list(check(facts(owners=owners))) == []
    found = list(check(facts(capturing(source=True), owners=owners)))
    assert titles(found)[0] == "error: [web] IPv4: the process that listens may not connect with the client's address"
    assert found[0].evidence == ("proxy (pid 78): neither CAP_NET_ADMIN nor CAP_NET_RAW (CapEff in /proc/78/status)",)
    local = check(facts(capturing(Method.REDIRECT, local=True), owners=owners))
    assert any("may not mark its connections" in title for title in titles(local))


def test_which_sockets_take_a_connection() -> None:
    assert takes(listening("192.0.2.1"), "192.0.2.1", Family.IPV4)
    assert not takes(listening("192.0.2.9"), "192.0.2.1", Family.IPV4)
    assert takes(listening("::", v6only=False), "192.0.2.1", Family.IPV4)
    assert not takes(listening("::"), "192.0.2.1", Family.IPV4)
    assert not takes(listening(), "2001:db8::1", Family.IPV6)
    assert takes(listening(interface=2), "192.0.2.1", Family.IPV4, 2)
