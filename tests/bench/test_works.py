"""Which rows there are, and choosing among them."""

import pytest

from tests.bench.__main__ import chosen
from tests.bench.proxies import Proxy
from tests.bench.works import works

PROXIES = [Proxy(name, lambda _: None) for name in ("gtunnel", "stunnel4", "nginx", "floor")]


def test_no_row_is_measured_twice() -> None:
    rows = [row for work in works(quick=False) for row in work.rows]
    assert len(rows) == len(set(rows))
    assert rows == [row for work in works(quick=True) for row in work.rows]


def test_a_pattern_chooses_rows_whatever_its_case() -> None:
    chosen_rows = [work.rows[0] for work in works(quick=True, only="^(full|RESUMED).*1.3")]
    assert chosen_rows == [
        "full handshake TLS 1.3 ECDSA, CPU us",
        "full handshake TLS 1.3 RSA 2048, CPU us",
        "resumed handshake TLS 1.3, CPU us",
    ]


def test_a_measurement_is_chosen_by_any_of_its_rows() -> None:
    (work,) = works(quick=True, only="^echo p99, client")
    assert work.rows[0].startswith("echo p50")


def test_nothing_is_found_for_what_is_not_there() -> None:
    assert works(quick=True, only="no such row") == []


def test_all_programs_are_chosen_unless_some_are_named() -> None:
    assert [proxy.name for proxy in chosen("", PROXIES)] == ["gtunnel", "stunnel4", "nginx"]
    assert [proxy.name for proxy in chosen("nginx,gtunnel", PROXIES)] == ["nginx", "gtunnel"]
    assert [proxy.name for proxy in chosen("gtunnel,floor", PROXIES)] == ["gtunnel", "floor"]


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="hitch is not installed, or not known: gtunnel, stunnel4, nginx"):
        chosen("gtunnel,hitch", PROXIES)
