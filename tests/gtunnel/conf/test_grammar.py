import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtunnel.conf.errors import Problem, Reason
from gtunnel.conf.grammar import MAX_LINE_BYTES, Assignment, Line, Section, masked, split
from gtunnel.conf.settings import Place


def lines(data: bytes) -> list[Line]:
    return list(split(data, "f"))


def one(data: bytes) -> Line:
    (line,) = lines(data)
    return line


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"  \t\n\r\n", b"; comment\n", b"# comment", b"  ; [x]\n", b";\0\xff\x01"]
)
def test_blank_lines_and_comments_say_nothing(data: bytes) -> None:
    assert lines(data) == []


@pytest.mark.parametrize("data", [b"a=b", b"a = b", b"  a\t=\tb  ", b"a = b\r", b"a = b\r\n", b"\t a= b\v\f"])
def test_white_space_around_names_and_values_does_not_count(data: bytes) -> None:
    line = one(data)
    assert isinstance(line, Assignment)
    assert (line.place, line.name, line.value) == (Place("f", 1), "a", "b")


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"a=", ""),
        (b"a = b = c", "b = c"),
        (b"a = b ; no comment", "b ; no comment"),
        (b'a = "b"', '"b"'),
        (b"a = \xc3\xa9", "é"),
    ],
)
def test_a_value_is_everything_after_the_first_equals_sign(data: bytes, value: str) -> None:
    line = one(data)
    assert isinstance(line, Assignment)
    assert line.value == value


@pytest.mark.parametrize(
    ("data", "name"), [(b"[x]", "x"), (b"  [ x y ]\r\n", " x y "), (b"[]", ""), (b"[a]b]", "a]b"), (b"[a=b]", "a=b")]
)
def test_sections_keep_their_names_as_written(data: bytes, name: str) -> None:
    line = one(data)
    assert isinstance(line, Section)
    assert line.name == name


@pytest.mark.parametrize("data", [b"accept", b"accept: 5", b"[x", b"[x] ; comment", b"x]"])
def test_other_lines_lack_an_equals_sign(data: bytes) -> None:
    line = one(data)
    assert isinstance(line, Problem)
    assert line.reason == Reason.NO_EQUALS_SIGN


def test_lines_are_counted_from_1_with_blank_ones() -> None:
    assert [line.place.line for line in lines(b"a=1\n\n;\nb=2\n\n[c]")] == [1, 4, 6]


def test_a_byte_order_mark_is_skipped_at_the_start_only() -> None:
    assert isinstance(one(codecs.BOM_UTF8 + b"[x]"), Section)
    assert isinstance(one(b"\n" + codecs.BOM_UTF8 + b"[x]"), Problem)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_other_encodings_are_named(encoding: str) -> None:
    (line,) = lines("\ufeff[x]\n".encode(encoding) if encoding.endswith("e") else "[x]\n".encode(encoding))
    assert isinstance(line, Problem)
    assert line.place == Place("f", 0)
    assert f"the file is in {encoding[:6].upper()}" in line.reason


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"a = b\0c", "control character (byte 0x00)"),
        (b"a = b\x1bc", "control character (byte 0x1b)"),
        (b"a = b\rc", "control character (byte 0x0d)"),
        (b"a = \xff", "not UTF-8"),
        (b"a = \xed\xa0\x80", "not UTF-8"),
        (b"a = " + b"x" * MAX_LINE_BYTES, "longer than"),
        (b";" + b"x" * MAX_LINE_BYTES, "longer than"),
    ],
)
def test_what_can_mean_nothing_is_a_problem(data: bytes, reason: str) -> None:
    line = one(data)
    assert isinstance(line, Problem)
    assert reason in line.reason


def test_the_longest_line_is_read() -> None:
    line = one(b"a=" + b"x" * (MAX_LINE_BYTES - 2))
    assert isinstance(line, Assignment)


def test_secrets_are_masked_in_texts() -> None:
    assert masked("protocolPassword=x = y") == "protocolPassword = ***"
    assert masked("protocolPassword x y") == "protocolPassword ***"
    assert masked("protocolPassword\0x") == "protocolPassword ***"
    assert masked("ticketKeySecret eHl6==") == "ticketKeySecret ***"
    assert masked("connect = 5") == "connect = 5"
    line = one(b"protocolPassword = \xff")
    assert isinstance(line, Problem)
    assert "xff" not in line.text


@given(st.binary())
def test_anything_is_split(data: bytes) -> None:
    for line in lines(data):
        assert line.place.file == "f"


@given(st.lists(st.sampled_from([b"[x]", b"a = b", b"; c", b"", b"junk", b"\tx=\xc3\xa9 "])))
def test_line_ends_and_byte_order_marks_make_no_difference(parts: list[bytes]) -> None:
    unix = lines(b"\n".join(parts))
    assert lines(b"\r\n".join(parts)) == unix
    assert lines(codecs.BOM_UTF8 + b"\n".join(parts) + b"\n") == unix
