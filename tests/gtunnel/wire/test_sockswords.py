import pytest

from gtunnel.wire.sockswords import Command, RequestError, UnsupportedError, command_of, host_of


def test_commands_have_numbers() -> None:
    assert command_of(1) is Command.CONNECT
    assert command_of(0xF0) is Command.RESOLVE
    with pytest.raises(UnsupportedError):
        command_of(0)


def test_names_of_other_scripts_become_what_the_resolver_knows() -> None:
    assert host_of(b"example.org") == "example.org"
    assert host_of("bücher.example".encode()) == "xn--bcher-kva.example"


@pytest.mark.parametrize("name", [b"", b"a b", b"a\0b", b"a\nb", b"\xff\xfe", "ü".encode() * 120])
def test_what_is_no_name_is_refused(name: bytes) -> None:
    with pytest.raises(RequestError):
        host_of(name)
