from OpenSSL import crypto

from gtunnel.tls.ocsp.links import MAX_REMEMBERED, Chains
from tests.gtunnel.tls.ocsp.cases import store, world
from tests.support.revocation import Holder, issue


def shown(*holders: Holder) -> list[crypto.X509]:
    """A chain as OpenSSL gives it."""
    return [crypto.X509.from_cryptography(holder.certificate) for holder in holders]


def test_all_but_the_root_are_asked_about() -> None:
    here = world()
    leaf, sub = Chains(store(here.root)).links(shown(here.leaf, here.sub, here.root))
    assert (leaf.depth, leaf.certificate, leaf.issuer) == (0, here.leaf.certificate, here.sub.certificate)
    assert (sub.depth, sub.certificate, sub.issuer) == (1, here.sub.certificate, here.root.certificate)


def test_a_certificate_that_signed_itself_is_not_asked_about() -> None:
    here = world()
    assert Chains(store(here.root)).links(shown(here.stranger)) == ()


def test_a_resumed_sessions_leaf_has_the_chain_that_was_seen_before() -> None:
    here = world()
    chains = Chains(store(here.root))
    before = chains.links(shown(here.leaf, here.sub, here.root))
    assert chains.links(shown(here.leaf)) == before


def test_a_leaf_that_was_not_seen_before_has_the_chain_that_our_trust_makes() -> None:
    here = world()
    leaf, sub = Chains(store(here.root, here.sub)).links(shown(here.leaf))
    assert leaf.issuer == here.sub.certificate
    assert sub.issuer == here.root.certificate


def test_without_either_the_issuer_is_not_known() -> None:
    here = world()
    (leaf,) = Chains(store(here.root)).links(shown(here.leaf))
    assert leaf.issuer is None


def test_not_all_of_the_world_is_remembered() -> None:
    here = world()
    chains = Chains(store(here.root))
    chains.links(shown(here.leaf, here.sub, here.root))
    for number in range(MAX_REMEMBERED):
        chains.links(shown(issue(here.sub, str(number)), here.sub, here.root))
    assert chains.links(shown(here.leaf))[0].issuer is None
