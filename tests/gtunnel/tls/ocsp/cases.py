"""The certificates that the tests of this directory ask about."""

from dataclasses import dataclass
from functools import cache

from OpenSSL import crypto

from gtunnel.conf.settings import OcspFlag
from gtunnel.tls.ocsp.judgement import Judgement, Terms, judge
from gtunnel.tls.ocsp.moments import now
from gtunnel.tls.ocsp.question import Question, ask
from tests.support.revocation import Holder, issue, root


@dataclass(frozen=True)
class World:
    """A CA, one below it, a leaf of that, and a stranger."""

    root: Holder
    sub: Holder
    leaf: Holder
    stranger: Holder


@cache
def world() -> World:
    """Made once."""
    top = root()
    sub = issue(top, "sub", ca=True, responders=["http://127.0.0.1:1/root"])
    leaf = issue(sub, "leaf", responders=["http://127.0.0.1:1/a", "https://127.0.0.1/b"])
    return World(top, sub, leaf, root("stranger"))


def store(*holders: Holder) -> crypto.X509Store:
    """A trust."""
    made = crypto.X509Store()
    for holder in holders:
        made.add_cert(crypto.X509.from_cryptography(holder.certificate))
    return made


def question(*, nonce: bool = False) -> Question:
    """About the leaf."""
    return ask(world().leaf.certificate, world().sub.certificate, nonce=nonce)


def judged(answer: bytes, *flags: OcspFlag, about: Question | None = None, trust: tuple[Holder, ...] = ()) -> Judgement:
    """What an answer about the leaf is worth where the root is trusted."""
    here = world()
    terms = Terms(flags=frozenset(flags), trust=store(*(trust or (here.root,))))
    chain = [here.leaf.certificate, here.sub.certificate, here.root.certificate]
    return judge(answer, about or question(), chain, terms, now())
