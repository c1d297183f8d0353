from gtunnel.conf.settings import NetBackend, NetSettings, Transparency


def test_both_is_source_and_destination() -> None:
    assert [mode for mode in Transparency if mode.source] == [Transparency.SOURCE, Transparency.BOTH]
    assert [mode for mode in Transparency if mode.destination] == [Transparency.DESTINATION, Transparency.BOTH]


def test_our_own_mark_is_the_second_of_three() -> None:
    net = NetSettings(backend=NetBackend.AUTO, mark=0x100, mask=0xF00, table=1, priority=2)
    assert net.own_mark == 0x200
