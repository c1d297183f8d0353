import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtunnel.address import SocketAddress
from gtunnel.wire import ident
from gtunnel.wire.ident import IdentError

CLIENT, SERVER = SocketAddress("192.0.2.1", 6193), SocketAddress("192.0.2.2", 23)


def test_the_question_has_the_two_ports_as_the_client_sees_them() -> None:
    assert ident.question(CLIENT, SERVER) == b"6193 , 23\r\n"


@pytest.mark.parametrize("answer", [b"6193, 23 : USERID : UNIX :stjohns", b" 6193 , 23:USERID:OTHER,x: stjohns "])
def test_the_answer_names_a_user(answer: bytes) -> None:
    assert ident.user(answer, CLIENT, SERVER) == "stjohns"


def test_a_name_may_have_a_colon() -> None:
    assert ident.user(b"6193,23:USERID:UNIX:a:b", CLIENT, SERVER) == "a:b"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"6193, 23 : ERROR : NO-USER", "Incorrect IDENT response type about 192.0.2.1:6193: ERROR NO-USER"),
        (b"6193, 24 : USERID : UNIX : joe", "about another connection"),
        (b"6193, 23 : USERID : UNIX", "Malformed IDENT response"),
        (b"garbage", "Malformed IDENT response"),
        (b"", "Malformed IDENT response"),
    ],
)
def test_anything_else_is_no_answer(answer: bytes, reason: str) -> None:
    with pytest.raises(IdentError, match=reason):
        ident.user(answer, CLIENT, SERVER)


@given(st.binary(max_size=100))
def test_whatever_comes_is_a_name_or_an_error(answer: bytes) -> None:
    with contextlib.suppress(IdentError):
        assert isinstance(ident.user(answer, CLIENT, SERVER), str)
