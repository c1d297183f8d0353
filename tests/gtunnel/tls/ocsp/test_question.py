import pytest
from cryptography.x509 import ocsp

from gtunnel.tls.ocsp.errors import InconclusiveError
from gtunnel.tls.ocsp.question import MAX_RESPONDERS, NONCE_BYTES, ask, responders
from tests.gtunnel.tls.ocsp.cases import question, world
from tests.support.revocation import issue


def test_a_request_is_about_the_certificate_by_sha_1_as_in_stunnel() -> None:
    asked = question()
    read = ocsp.load_der_ocsp_request(asked.request)
    assert read.serial_number == world().leaf.certificate.serial_number
    assert read.hash_algorithm.name == "sha1"
    assert len(read.extensions) == 0
    assert asked.request == question().request


def test_a_nonce_is_another_one_each_time() -> None:
    one, other = question(nonce=True), question(nonce=True)
    assert one.nonce is not None
    assert len(one.nonce) == NONCE_BYTES
    assert one.nonce in one.request
    assert one.nonce != other.nonce


def test_the_responders_of_a_certificate_are_read_and_those_behind_tls_told() -> None:
    good, bad = responders(world().leaf.certificate)
    assert str(good) == "http://127.0.0.1:1/a"
    assert isinstance(bad, InconclusiveError)
    assert "TLS not supported for OCSP" in str(bad)
    assert responders(world().root.certificate) == ()


def test_a_certificate_does_not_make_us_ask_the_whole_world() -> None:
    many = issue(world().sub, "many", responders=[f"http://127.0.0.1:{port}/" for port in range(1, 50)])
    assert len(responders(many.certificate)) == MAX_RESPONDERS


@pytest.mark.parametrize("url", ["ldap://x/", "http://", "x", "http://x:99999/"])
def test_what_is_no_responder_is_told(url: str) -> None:
    (found,) = responders(issue(world().sub, "odd", responders=[url]).certificate)
    assert isinstance(found, InconclusiveError)


def test_a_question_knows_its_certificate_only_by_its_issuer() -> None:
    here = world()
    asked = ask(here.leaf.certificate, here.stranger.certificate, nonce=False)
    read = ocsp.load_der_ocsp_request(asked.request)
    assert read.issuer_key_hash != ocsp.load_der_ocsp_request(question().request).issuer_key_hash
