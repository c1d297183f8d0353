from gtunnel.conf.place import Place


def test_a_place_is_shown_as_compilers_do() -> None:
    assert str(Place("/etc/x.conf", 3)) == "/etc/x.conf:3"
