from gtunnel.conf.settings import Protocol, ProtocolSettings


def test_roles_are_the_manuals() -> None:
    # connect as a server: docs/differences.md.
    assert {name for name in Protocol if not name.serves} == {Protocol.CONNECT, Protocol.LDAP, Protocol.NNTP}
    assert {name for name in Protocol if not name.dials} == {Protocol.PROXY}


def test_passwords_and_headers_are_not_shown() -> None:
    settings = ProtocolSettings(password="hidden-password", header="hidden-header")  # noqa: S106
    assert "hidden" not in repr(settings)


def test_what_a_protocol_makes_of_its_options_depends_on_the_mode() -> None:
    assert Protocol.SMTP.uses(client=True).authentications == ("plain", "login")
    assert "protocolHost" in Protocol.CONNECT.uses(client=True).options
    assert not Protocol.SMTP.uses(client=False).options
    assert not Protocol.IMAP.uses(client=True).options
