import gevent
from OpenSSL import crypto

from gtunnel.net.responders import Manner, Responders
from gtunnel.tls.ocsp.inquiry import Evidence, Inquirer
from gtunnel.tunnel.revocation import RevokedError, inquire
from tests.gtunnel.logs import ListLog
from tests.gtunnel.settings import service
from tests.gtunnel.tls.ocsp.cases import store
from tests.support.revocation import Holder, Responder, Saying, answer, issue, root

MANNER = Manner(5.0)


def inquirer(ca: Holder, lines: str) -> Inquirer:
    """Of a service with these lines that trusts `ca`."""
    settings = service(f"client = yes\naccept = 1\nconnect = 2\nverifyChain = yes\nCAfile = x\n{lines}")
    return Inquirer(settings.ocsp, store(ca))


def evidence(*chain: Holder) -> Evidence:
    """A chain."""
    return Evidence(tuple(crypto.X509.from_cryptography(one.certificate) for one in chain))


def test_a_good_answer_is_asked_for_once_and_then_known() -> None:
    ca = root()
    holder: list[Holder] = []
    with Responder(lambda _: answer(holder[0], ca)) as responder:
        holder.append(issue(ca, "leaf", responders=[responder.url]))
        shared, log = Responders(), ListLog()
        for _ in range(3):
            assert inquire(inquirer(ca, "OCSPaia = yes"), evidence(holder[0], ca), shared, MANNER, log).accepted
        assert len(responder.requests) == 1
    assert log.texts.count(f'OCSP: Connecting the AIA responder "{responder.url}"') == 1
    assert log.texts.count("OCSP: Response received") == 1
    assert log.texts.count("OCSP: Accepted (good)") == 3


def test_what_was_not_believed_is_asked_for_again() -> None:
    ca = root()
    leaf = issue(ca, "leaf")
    with Responder(lambda _: answer(leaf, ca, Saying(begins=-3.0, ends=-2.0))) as responder:
        asking = inquirer(ca, f"OCSP = {responder.url}")
        shared, log = Responders(), ListLog()
        for _ in range(2):
            verdict = inquire(asking, evidence(leaf, ca), shared, MANNER, log)
            assert (verdict.accepted, verdict.depth, verdict.subject) == (False, 0, "CN=leaf")
        assert len(responder.requests) == 2
    assert f'OCSP: Connecting the configured responder "{responder.url}"' in log.texts


def test_a_refusal_has_stunnels_words() -> None:
    assert str(RevokedError(function="SSL_accept")) == "SSL_accept: SSL routines::certificate verify failed"


def test_connections_that_ask_the_same_share_the_answer() -> None:
    ca = root()
    leaf = issue(ca, "leaf")
    with Responder(lambda _: answer(leaf, ca)) as responder:
        asking, shared = inquirer(ca, f"OCSP = {responder.url}"), Responders()
        greenlets = [
            gevent.spawn(inquire, asking, evidence(leaf, ca), shared, MANNER, ListLog()) for _ in range(20)
        ]
        gevent.joinall(greenlets, timeout=10)
        assert [greenlet.get().accepted for greenlet in greenlets] == [True] * 20
        assert len(responder.requests) == 1
