"""The targets are met or missed as issue 6 says, and each is one of a row that is measured."""

import pytest

from tests.bench.targets import AIM, MET, MISSED, TARGETS, Target, target_of
from tests.bench.works import works

ROWS = [row for work in works(quick=True) for row in work.rows]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.pattern)
def test_every_target_is_of_a_row(target: Target) -> None:
    assert any(target_of(row) is target for row in ROWS)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("bulk to the client, client mode, CPU s/GB", "≤ 0.90 (nginx)"),
        ("full handshake TLS 1.3 ECDSA, CPU us", "≤ 1.00 (0.75)"),
        ("full handshake TLS 1.3 RSA 2048, CPU us", "≤ 1.00 (0.8)"),
        ("resumed handshake TLS 1.2, CPU us", "≤ 1.00 (0.75)"),
        ("keep-alive request, 256 connections, server mode, CPU us", "≤ 0.55 (0.35)"),
        ("requests/s, all cores, 256 connections", "≥ 1.30 (2)"),
        ("at rest, two workers, PSS, MiB", "≤ 60"),
        ("requests/s, 32 connections, server mode", None),
        ("keep-alive request, all cores, 256 connections, CPU us", None),
        ("echo p99, server mode, us", None),
    ],
)
def test_a_row_has_the_target_that_was_asked_for(row: str, said: str | None) -> None:
    assert row in ROWS
    target = target_of(row)
    assert (None if target is None else str(target)) == said


@pytest.mark.parametrize(("ratio", "judged"), [(1.01, MISSED), (1.0, MET), (0.76, MET), (0.75, AIM), (None, "")])
def test_a_ratio_may_be_no_more(ratio: float | None, judged: str) -> None:
    assert Target(pattern="", bound=1.0, aim=0.75).judge({"gtunnel": 5}, ratio, "gtunnel") == judged


@pytest.mark.parametrize(("ratio", "judged"), [(1.29, MISSED), (1.3, MET), (2, AIM)])
def test_a_rate_may_be_no_less(ratio: float, judged: str) -> None:
    assert Target(pattern="", bound=1.3, aim=2, least=True).judge({"gtunnel": 5}, ratio, "gtunnel") == judged


@pytest.mark.parametrize(("figure", "judged"), [(60.1, MISSED), (60, MET)])
def test_a_figure_of_its_own_needs_no_other_program(figure: float, judged: str) -> None:
    assert Target(pattern="", bound=60, figure=True).judge({"gtunnel": figure}, None, "gtunnel") == judged


@pytest.mark.parametrize(("nginx", "judged"), [(1.0, AIM), (0.9, MET)])
def test_the_aim_may_be_another_program_s_figure(nginx: float, judged: str) -> None:
    target = Target(pattern="", bound=0.9, aim_of="nginx")
    assert target.judge({"gtunnel": 1.0, "nginx": nginx}, 0.8, "gtunnel") == judged
    assert target.judge({"gtunnel": 1.0}, 0.8, "gtunnel") == MET
