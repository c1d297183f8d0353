from gtunnel.conf.settings import Protocol, ProtocolSettings


def test_roles_are_the_manuals() -> None:
    assert {name for name in Protocol if not name.serves} == {Protocol.LDAP, Protocol.NNTP}
    assert {name for name in Protocol if not name.dials} == {Protocol.PROXY}


def test_passwords_and_headers_are_not_shown() -> None:
    settings = ProtocolSettings(password="hidden-password", header="hidden-header")  # noqa: S106
    assert "hidden" not in repr(settings)
