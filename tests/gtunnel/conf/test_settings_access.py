from gtunnel.conf.settings import AccessSettings, SocketOwner


def test_everybody_is_let_in_and_nothing_is_given_away_by_default() -> None:
    assert AccessSettings() == AccessSettings(libwrap=False, ident=None, connections=None, per_ip=None)
    assert SocketOwner() == SocketOwner(user=None, group=None)
