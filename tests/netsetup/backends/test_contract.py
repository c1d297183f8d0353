from netsetup.backends.contract import Content


def test_contents_are_equal_when_their_rules_are() -> None:
    assert Content("a", ("line",)) == Content("a", ("line",))
    assert Content("a", ("line",)) != Content("b", ("line",))
