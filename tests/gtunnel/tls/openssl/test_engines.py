"""Engines, as far as they go without a device; with one: tests/integration/test_engine.py."""

import pytest

from gtunnel.tls.openssl import engines
from gtunnel.tls.openssl.engines import Engine, EngineError

pytestmark = pytest.mark.skipif(not engines.AVAILABLE, reason="this OpenSSL has no engines")


def test_an_engine_that_is_not_there_has_a_reason() -> None:
    with pytest.raises(EngineError, match="::"):
        Engine("no-such")


def test_a_command_that_an_engine_does_not_know_has_a_reason() -> None:
    engine = Engine("dynamic")
    with pytest.raises(EngineError, match=r"engine routines::"):
        engine.control("NO_SUCH", "x")
