import time

from gtunnel.conf.similar import nearest, suggestion

NAMES = ("TCP_NODELAY", "SO_KEEPALIVE", "IP_TOS")


def test_the_nearest_name_in_any_case() -> None:
    assert nearest("tcp_nodleay", NAMES) == "TCP_NODELAY"
    assert suggestion("SO_KEPALIVE", NAMES) == '; did you mean "SO_KEEPALIVE"?'


def test_what_is_like_nothing_gets_no_suggestion() -> None:
    assert nearest("bananas", NAMES) is None
    assert suggestion("", NAMES) == ""


def test_an_endless_name_costs_no_time() -> None:
    start = time.monotonic()
    assert nearest("x" * 1_000_000, NAMES) is None
    assert time.monotonic() - start < 1
