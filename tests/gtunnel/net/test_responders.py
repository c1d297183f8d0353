from typing import Any

import gevent
import pytest

from gtunnel.address import HttpUrl, parse_http_url
from gtunnel.net import responders
from gtunnel.net.responders import MAX_ANSWERS, MAX_KEPT_BYTES, Manner, Responders
from gtunnel.tls.ocsp.errors import InconclusiveError
from tests.support import servers
from tests.support.ports import free_port
from tests.support.revocation import Responder

URL = parse_http_url("http://127.0.0.1:1/")
PATIENT, HASTY = Manner(10.0), Manner(0.2)


class Clock:
    """A time that passes when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(responders, "monotonic", lambda: self.now)


def refusal(asked: Responders, url: HttpUrl, manner: Manner = PATIENT) -> str:
    """Why no answer comes."""
    with pytest.raises(InconclusiveError) as caught:
        asked.ask(url, b"question", manner)
    return str(caught.value)


def test_those_who_ask_at_the_same_time_share_an_answer() -> None:
    with Responder(lambda request: request[::-1]) as responder:
        url, asked = parse_http_url(responder.url), Responders()
        greenlets = [gevent.spawn(asked.ask, url, b"question", PATIENT) for _ in range(10)]
        greenlets += [gevent.spawn(asked.ask, url, b"other", PATIENT)]
        gevent.joinall(greenlets, timeout=10)
        assert [greenlet.value for greenlet in greenlets] == [b"noitseuq"] * 10 + [b"rehto"]
        assert sorted(responder.requests) == [b"other", b"question"]
        asked.ask(url, b"question", PATIENT)
        assert len(responder.requests) == 3


def test_an_answer_is_kept_until_it_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, asked = Clock(monkeypatch), Responders()
    asked.keep(URL, b"question", b"answer", 10.0)
    assert asked.kept(URL, b"question") == b"answer"
    assert asked.kept(None, b"question") is None
    assert asked.kept(URL, b"other") is None
    clock.now += 11
    assert asked.kept(URL, b"question") is None


def test_what_is_kept_has_bounds() -> None:
    asked = Responders()
    asked.keep(URL, b"large", bytes(MAX_KEPT_BYTES + 1), 10.0)
    asked.keep(URL, b"late", b"answer", -1.0)
    assert asked.kept(URL, b"large") is asked.kept(URL, b"late") is None
    for number in range(MAX_ANSWERS + 1):
        asked.keep(URL, b"%d" % number, b"answer", 10.0)
    assert asked.kept(URL, b"0") is None
    assert asked.kept(URL, b"1") == b"answer"


def test_a_silent_responder_has_its_time_and_is_then_left_in_peace(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = server(servers.hang)
    url, asked = parse_http_url(f"http://{hanging.endpoint}/"), Responders()
    clock = Clock(monkeypatch)
    assert refusal(asked, url, HASTY).endswith("s_poll_wait: TIMEOUTocsp exceeded")
    gevent.sleep(0.05)  # the one that asked for us notes it in its own turn
    assert refusal(asked, url).endswith("(a moment ago)")
    assert len(hanging.peers) == 1
    clock.now += responders.SILENCE_SECONDS + 1
    refusal(asked, url, HASTY)
    assert len(hanging.peers) == 2


def test_a_responder_that_cannot_be_reached_is_not_asked_by_each_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, asked = Clock(monkeypatch), Responders()
    url = parse_http_url(f"http://127.0.0.1:{free_port()}/")
    assert refusal(asked, url).endswith("Connection refused (111)")
    assert refusal(asked, url).endswith("Connection refused (111) (a moment ago)")
    with Responder(lambda _: b"answer") as back:
        other = parse_http_url(back.url)
        assert asked.ask(other, b"question", PATIENT) == b"answer"
    clock.now += responders.SILENCE_SECONDS + 1
    assert not refusal(asked, url).endswith("(a moment ago)")


def test_who_asks_between_an_answer_and_its_reader_shares_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, posts = Responders(), []
    late: list[gevent.Greenlet[..., bytes]] = []

    def post(*_: object) -> bytes:
        posts.append(1)
        # It gets its turn after this one has ended, and before those who wait for it.
        late.append(gevent.spawn(asked.ask, URL, b"question", PATIENT))
        return b"answer"

    monkeypatch.setattr(responders, "post", post)
    assert asked.ask(URL, b"question", PATIENT) == b"answer"
    late[0].join(5)
    assert late[0].value == b"answer"
    assert len(posts) == 1
    gevent.sleep(0.01)
    asked.ask(URL, b"question", PATIENT)
    assert len(posts) == 2


def test_an_answer_that_nobody_waited_for_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, posts = Responders(), []

    def post(*_: object) -> bytes:
        posts.append(1)
        gevent.sleep(0.05)
        return b"answer"

    monkeypatch.setattr(responders, "post", post)
    waiter = gevent.spawn(asked.ask, URL, b"question", PATIENT)
    gevent.sleep(0.01)
    waiter.kill()
    gevent.sleep(0.2)
    asked.ask(URL, b"question", PATIENT)
    assert len(posts) == 2
