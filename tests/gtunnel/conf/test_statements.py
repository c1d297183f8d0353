from gtunnel.address import UnixPath
from gtunnel.conf.options_service import CLIENT, CONNECT, DELAY, SOCKET
from gtunnel.conf.settings import Place
from gtunnel.conf.socketoptions import DEFAULTS
from gtunnel.conf.statements import Statement, Statements


def line(row: object, value: object, number: int) -> Statement:
    return Statement(row, value, Place("f", number), "")  # type: ignore[arg-type]


def test_the_last_line_counts_else_the_default() -> None:
    assert Statements([]).one(CLIENT) is False
    assert Statements([line(CLIENT, True, 1), line(CLIENT, False, 2)]).one(CLIENT) is False
    assert Statements([line(CLIENT, False, 1), line(CLIENT, True, 2)]).one(CLIENT) is True


def test_own_lines_come_after_inherited_ones() -> None:
    defaults = Statements([line(CLIENT, True, 1), line(CONNECT, UnixPath("a"), 2)])
    statements = Statements([line(CONNECT, UnixPath("b"), 3)], defaults)
    assert statements.one(CLIENT) is True
    assert list(statements.all(CONNECT)) == [UnixPath("a"), UnixPath("b")]
    assert Statements([line(CLIENT, False, 3)], defaults).one(CLIENT) is False


def test_repeated_options_start_with_their_default() -> None:
    assert Statements([]).all(SOCKET) == DEFAULTS


def test_lines_of_several_options_keep_their_order() -> None:
    statements = Statements(
        [line(DELAY, True, 3), line(CLIENT, True, 4), line(DELAY, False, 5)], Statements([line(CLIENT, True, 1)])
    )
    assert [found.place.line for found in statements.of(CLIENT, DELAY)] == [1, 3, 4, 5]
    last, own = statements.last(CLIENT, DELAY), statements.own(CLIENT)
    assert last is not None
    assert own is not None
    assert (last.place.line, own.place.line) == (5, 4)
    assert statements.last(CONNECT) is None


def test_inherited_lines_are_not_own() -> None:
    statements = Statements([], Statements([line(CLIENT, True, 1)]))
    assert statements.own(CLIENT) is None
    assert statements.last(CLIENT) is not None


def test_lines_remember_where_options_stand() -> None:
    defaults = Statements([line(CLIENT, True, 1), line(CONNECT, UnixPath("a"), 2)])
    lines = Statements([line(CONNECT, UnixPath("b"), 3)], defaults).lines
    assert [found.place.line for name in ("client", "connect") if (found := lines.last(name))] == [1, 3]
    inherited = lines.last("connect", value=UnixPath("a"))
    assert inherited is not None
    assert inherited.place.line == 2
    assert lines.last("delay") is None
