

from gtunnel.tls import context
from tests.gtunnel.tls.pairs import presenting, service
from tests.support.certificates import Pki


def test_verifychain_asks_servers_for_staples(pki: Pki) -> None:
    trust = f"CAfile = {pki.ca}"
    assert context.build(service("verifyChain = yes", trust, client=True)).staple
    assert not context.build(service("verifyPeer = yes", trust, client=True)).staple
    assert not context.build(service(client=True)).staple
    assert not context.build(service("verifyChain = yes", trust, *presenting(pki.server))).staple


def test_only_who_verifies_inquires(pki: Pki) -> None:
    trust = f"CAfile = {pki.ca}"
    assert context.build(service("OCSPaia = yes", client=True)).inquirer is None
    assert context.build(service("verifyChain = yes", trust, *presenting(pki.server))).inquirer is None
    for lines in (("verifyChain = yes",), ("verifyPeer = yes", "OCSPaia = yes"), ("verify = 1", "OCSP = http://x/")):
        assert context.build(service(*lines, trust, client=True)).inquirer is not None
