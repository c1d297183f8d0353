"""The table: medians, ratios of pairs, and marks."""

from tests.bench.report import missed, ratio, table

ROUNDS = {
    "resumed handshake TLS 1.3, CPU us": {"gtunnel": [800.0, 2400.0, 900.0], "stunnel4": [1000.0, 2000.0, 1800.0]},
    "at rest, two workers, PSS, MiB": {"gtunnel": [61.26], "stunnel4": [0.0], "hitch": [3.0]},
    "echo p99, server mode, us": {"hitch": [100.0]},
}


def test_the_ratio_is_the_median_of_those_of_each_round() -> None:
    # 0.8, 1.2, 0.5: the medians' own ratio would be 0.5.
    assert ratio(ROUNDS["resumed handshake TLS 1.3, CPU us"]) == 0.8


def test_there_is_no_ratio_to_what_is_missing_or_nothing() -> None:
    assert ratio({"gtunnel": [1.0]}) is None
    assert ratio({"stunnel4": [1.0]}) is None
    assert ratio({"gtunnel": [1.0], "stunnel4": [0.0]}) is None


def test_the_table_has_a_line_for_each_row() -> None:
    assert table(ROUNDS, ["gtunnel", "stunnel4", "hitch"]).splitlines() == [
        "| | gtunnel | stunnel4 | hitch | ratio | target (aim) | |",
        "|---|---|---|---|---|---|---|",
        "| resumed handshake TLS 1.3, CPU us | 900 | 1800 |  | 0.80 | ≤ 1.00 (0.75) | met |",
        "| at rest, two workers, PSS, MiB | 61.3 | 0 | 3 |  | ≤ 60 | **missed** |",
        "| echo p99, server mode, us |  |  | 100 |  |  |  |",
    ]


def test_what_is_missed_is_named() -> None:
    assert list(missed(ROUNDS)) == ["at rest, two workers, PSS, MiB"]
