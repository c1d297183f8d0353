import pytest

from gtunnel.conf.option import BadValueError
from gtunnel.conf.options_net import marks, routing_table
from gtunnel.conf.settings import NetBackend
from tests.gtunnel.conf.samples import process, reasons


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0x1/0xff", (0x1, 0xFF)),
        ("16", (16, 0xFF)),
        ("0xfd", (0xFD, 0xFF)),
        ("0x100/0xff00", (0x100, 0xFF00)),
        ("1/3", (1, 3)),
        ("0x40000000/0xc0000000", (0x40000000, 0xC0000000)),
        ("0x20000000/0xe0000000", (0x20000000, 0xE0000000)),
    ],
)
def test_three_marks_have_to_fit_the_mask(text: str, expected: tuple[int, int]) -> None:
    assert marks(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "0xfe",
        "0xff/0xff",
        "1/0",
        "1/0x5",
        "0x100",
        "1/0xff00",
        "010",
        "x",
        "1/2/3",
        "0x1ffffffff/0xff",
        "0x80000000/0xc0000000",
    ],
)
def test_marks_that_would_be_zero_overflow_or_leave_gaps_are_refused(text: str) -> None:
    with pytest.raises(BadValueError, match=r"^Illegal mark"):
        marks(text)


def test_the_kernels_own_routing_tables_are_not_ours() -> None:
    assert (routing_table("1"), routing_table(str(2**32 - 1))) == (1, 2**32 - 1)
    for text in ("0", "253", "254", "255", str(2**32), "main"):
        with pytest.raises(BadValueError, match=r"^Illegal routing table"):
            routing_table(text)


def test_what_nothing_is_said_about() -> None:
    net = process().net
    assert (net.mark, net.mask, net.table, net.priority) == (1, 0xFF, 100, 5000)


def test_what_is_said() -> None:
    net = process("netBackend = iptables", "netMark = 0x10/0xf0", "netTable = 7", "netPriority = 9").net
    assert (net.backend, net.mark, net.own_mark) == (NetBackend.IPTABLES, 0x10, 0x20)
    assert (net.table, net.priority) == (7, 9)


def test_four_rules_have_room_before_the_main_table_s() -> None:
    assert process("netPriority = 32762").net.priority == 32762


@pytest.mark.parametrize(
    "line", ["netPriority = 32763", "netBackend = pf", "netName = two words", "netName = sixteen-letters-"]
)
def test_bad_values_are_told_with_their_line(line: str) -> None:
    (reason,) = reasons(line + "\n[c]\nclient = yes\naccept = 1\nconnect = 2\n")
    assert reason.startswith(f't.conf:1: "{line}": ')
