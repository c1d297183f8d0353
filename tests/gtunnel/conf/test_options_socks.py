from tests.gtunnel.conf.samples import CLIENT, SERVER, configuration, reasons

SOCKS = "[s]\naccept = 127.0.0.1:1001\ncert = both.pem\nprotocol = socks\n"


def test_lines_keep_their_order() -> None:
    lines = "socksTargets = deny 10.0.0.0/8\nsocksTargets = allow *\nsocksUsers = users\n"
    socks = configuration(SOCKS + lines).services[0].protocol.socks
    assert [rule.allow for rule in socks.targets] == [False, True]
    assert socks.users == "users"


def test_a_wrong_line_is_told() -> None:
    (reason,) = reasons(SOCKS + "socksTargets = permit *")
    assert "allow TARGET or deny TARGET is needed" in reason


def test_they_are_for_socks_servers_and_as_defaults_for_those_that_are_one() -> None:
    for text in (CLIENT + "protocol = socks\nsocksTargets = allow *", SERVER + "socksUsers = x"):
        (reason,) = reasons(text)
        assert "needs protocol = socks, in server mode" in reason
    assert not reasons("socksTargets = allow *\n" + CLIENT + SOCKS)
