
from gtunnel.conf.settings import NetBackend, NetSettings, Place, Transparency
from tests.gtunnel.conf.samples import client


def test_a_place_reads_as_editors_take_it() -> None:
    assert str(Place("/etc/x.conf", 12)) == "/etc/x.conf:12"


def test_both_is_source_and_destination() -> None:
    assert [(one.source, one.destination) for one in Transparency] == [
        (False, False),
        (True, False),
        (False, True),
        (True, True),
    ]


def test_our_own_mark_is_the_second_of_three() -> None:
    net = NetSettings(backend=NetBackend.AUTO, mark=0x1000, mask=0xF000, table=100, priority=5000)
    assert net.own_mark == 0x2000


def test_where_a_line_stands_makes_no_other_service() -> None:
    one, two = client("delay = yes"), client("", "delay = yes")
    assert one.lines != two.lines
    assert one == two
