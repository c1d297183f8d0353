"""What protocols with a STARTTLS command share, with one that is made up."""

import re

import pytest

from gtunnel.net.errors import ResolveError, WaitTimeoutError
from gtunnel.wire.errors import RefusalError
from gtunnel.wire.starttls import Answer, Dialect, Lines, receive_line, serve, telling_client
from gtunnel.wire.steps import Connect, ReceiveLine, Send, Side, Step
from tests.gtunnel.wire.play import play


def greeting() -> Lines:
    return (yield from receive_line("toy", b"HI", "no hello")) + b"\n"


def answer(line: bytes) -> Answer:
    return Answer(b"ok\n", starts=line == b"tls", leaves=line == b"end")


TOY = Dialect("toy", b"bye\n", greeting, answer, re.compile(b"tls"))


def test_the_greeting_may_be_another_one_for_the_client() -> None:
    assert play(serve(TOY, bytes.lower), b"tls\n", b"HI you\n").said[Side.CLIENT] == b"hi you\nok\n"


@pytest.mark.parametrize("failing", [Connect, ReceiveLine])
def test_whatever_fails_before_tls_is_told_to_the_client_and_then_to_the_log(failing: type[Step]) -> None:
    error = WaitTimeoutError(waiting="it", option="TIMEOUTbusy", consequence="reset")

    negotiation = serve(TOY)
    step: Step = next(negotiation)
    while not isinstance(step, failing):
        step = negotiation.send(b"")
    told = negotiation.throw(error)
    assert told == Send(Side.CLIENT, b"bye\n", farewell=True)
    with pytest.raises(WaitTimeoutError):
        negotiation.send(b"")


def test_a_client_that_is_gone_does_not_hide_why() -> None:
    negotiation = serve(TOY)
    next(negotiation)
    negotiation.throw(ResolveError(host="h", reason="first"))
    with pytest.raises(ResolveError, match="first"):
        negotiation.throw(ResolveError(host="h", reason="second"))


def test_who_refuses_with_no_words_leaves_the_client_as_it_is() -> None:
    def refuse() -> Lines:
        yield Connect()
        raise RefusalError(b"", protocol="toy", reason="no")

    played = play(telling_client(b"bye\n", refuse()))  # type: ignore[arg-type]
    assert played.said[Side.CLIENT] == b""
    assert str(played.error) == "toy: no"
