import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtunnel.wire import socksusers
from tests.gtunnel.wire.test_sha512crypt import PASSWORD, STORED


def test_passwords_stand_there_as_such_or_hashed() -> None:
    users = socksusers.parse(b"# who\n\nanne:se:cret\nbert:" + STORED + b"\n")
    assert users.accept(b"anne", b"se:cret")
    assert users.accept(b"bert", PASSWORD)
    for name, password in ((b"anne", b"se"), (b"bert", b"x"), (b"carl", b""), (b"bert", STORED), (b"", b"")):
        assert not users.accept(name, password)
    assert b"se:cret" not in repr(users).encode()


@pytest.mark.parametrize("content", [b"anne:x", b"anne:" + STORED])
def test_a_user_that_is_not_there_has_no_password(content: bytes) -> None:
    users = socksusers.parse(content)
    assert not any(users.accept(b"bert", password) for password in (b"", b"x", PASSWORD, users.stranger))


@pytest.mark.parametrize(
    "content",
    [b"", b"# nobody\n", b"x", b":x", b"x:", b"a:1\na:2", b"a:$1$salt$hash", b"a" * 256 + b":x", b"a:" + b"x" * 256],
)
def test_other_files_are_refused_without_showing_them(content: bytes) -> None:
    with pytest.raises(socksusers.UsersError) as raised:
        socksusers.parse(content)
    assert "hash'" not in str(raised.value)


@given(st.binary(max_size=200))
def test_any_file_is_read_or_refused(content: bytes) -> None:
    with contextlib.suppress(socksusers.UsersError):
        socksusers.parse(content)
