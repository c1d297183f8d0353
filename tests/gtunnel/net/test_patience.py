"""A server that failed is left alone for a while, and the log hears of it once."""

from gtunnel.events import Level
from gtunnel.net.patience import REST_SECONDS, Patience
from tests.gtunnel.logs import ListLog


def test_it_rests_and_asks_again() -> None:
    now = [100.0]
    log = ListLog()
    patience = Patience("cache", clock=lambda: now[0])
    assert not patience.worn()
    patience.failed("no answer", log)
    assert patience.worn()
    now[0] += REST_SECONDS
    assert not patience.worn()
    patience.failed("no answer", log)
    assert patience.worn()
    patience.answered(log)
    assert not patience.worn()
    patience.answered(log)
    assert [level for level, _ in log.lines] == [Level.WARNING, Level.DEBUG, Level.NOTICE]
    assert log.texts[0] == "cache: no answer: sessions are not kept there for now"
    assert log.texts[-1] == "cache: it answers again"
