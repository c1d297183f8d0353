import shutil
import subprocess

import pytest

from gtunnel.conf.reference import default_lines, help_lines, remark, socket_rows
from gtunnel.conf.socketoptions import ROWS
from gtunnel.conf.table import TABLE


def listed(lines: tuple[str, ...]) -> dict[str, str]:
    """Names and texts of the lines that name an option."""
    return {line[:22].strip(): line[25:] for line in lines if line[:22].strip() and line[23:24] == "="}


def test_every_option_is_helped_with_in_stunnels_layout() -> None:
    lines = help_lines()
    assert lines[0] == "Global options:"
    assert "Service-level options:" in lines
    assert set(listed(lines)) == {row.name for row in TABLE}
    assert (
        "accept                 = [HOST:]PORT|PATH address or Unix socket to listen on; several lines for several"
        in lines
    )


def test_what_does_not_work_yet_is_marked() -> None:
    remarks = {row.name: remark(row) for row in TABLE}
    assert remarks["EGD"].startswith("refused")
    assert remarks["EGD"].startswith("refused: OpenSSL has no entropy")
    assert remarks["taskbar"] == "ignored: it is for Windows only"
    assert remarks["accept"] == ""
    lines = help_lines()
    remarked = lines[next(i for i, line in enumerate(lines) if line.startswith("EGD ")) + 1]
    assert remarked.strip().startswith("(refused: ")


def test_lines_fit_a_terminal_or_nearly() -> None:
    assert max(len(line) for line in help_lines()) <= 140


def test_defaults_are_listed() -> None:
    lines = default_lines()
    assert "TIMEOUTidle            = 43200 seconds" in lines
    assert "options                = NO_SSLv3" in lines
    assert listed(lines)["workers"] == "auto"


def test_socket_options_are_handed_on() -> None:
    assert socket_rows() is ROWS


@pytest.mark.skipif(shutil.which("stunnel4") is None, reason="stunnel4 is not installed")
def test_names_and_defaults_are_stunnels() -> None:
    shown = subprocess.run(["stunnel4", "-help"], capture_output=True, text=True, check=False).stderr
    assert set(listed(tuple(shown.splitlines()))) <= set(listed(help_lines()))
    shown = subprocess.run(["stunnel4", "-version"], capture_output=True, text=True, check=False).stderr
    theirs, ours = listed(tuple(shown.splitlines())), listed(default_lines())
    without_effect_here = {"RNDbytes", "RNDfile", "RNDoverwrite", "stack"}
    for name in theirs.keys() - without_effect_here:
        remark = " (after X25519MLKEM768 where OpenSSL has it)"
        assert ours[name].removesuffix(remark) == theirs[name].removesuffix(" (with TLSv1.3)")
