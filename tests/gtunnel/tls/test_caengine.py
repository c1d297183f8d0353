"""Certificates that an engine keeps: without one there are none. With one: tests/integration/test_engine.py."""

import pytest

from gtunnel.conf.settings import EngineCertificates
from gtunnel.tls import caengine, context
from gtunnel.tls.errors import TlsSetupError
from tests.gtunnel.tls.pairs import service


def test_nothing_is_fetched_where_nothing_is_asked_for() -> None:
    assert caengine.certificates(None) == []


@pytest.mark.parametrize(("identifier", "number"), [("none", None), (None, 7), (None, None)])
def test_an_engine_that_is_not_there_is_told(identifier: str | None, number: int | None) -> None:
    wanted = EngineCertificates(engine_id=identifier, engine_number=number, identifiers=("a", "b"))
    with pytest.raises(TlsSetupError, match=r"^CAengine = a: no such engine was named"):
        caengine.certificates(wanted)


@pytest.mark.parametrize("demand", ["verifyChain = yes", "verifyPeer = yes"])
def test_a_context_needs_what_it_is_to_trust(demand: str) -> None:
    with pytest.raises(TlsSetupError, match="CAengine = a: no such engine"):
        context.build(service("CAengine = a", demand, client=True))
