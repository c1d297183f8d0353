import pytest

from gtunnel.conf.errors import MAX_SHOWN_TEXT, ConfigError, Problem, comment_hint, problem_of, shown
from gtunnel.conf.settings import Place
from gtunnel.errors import GtunnelError
from gtunnel.events import Level
from tests.gtunnel.conf.samples import client


def test_a_problem_says_where_what_why_and_what_was_meant() -> None:
    problem = Problem(Place("a.conf", 3), "acept = 1", "it is wrong", 'did you mean "accept"?')
    assert str(problem) == 'a.conf:3: "acept = 1": it is wrong (did you mean "accept"?)'


def test_a_problem_of_a_whole_file_has_no_line() -> None:
    assert str(Problem(Place("a.conf", 0), "", "it is empty")) == "a.conf: it is empty"


def test_an_error_tells_all_its_problems() -> None:
    error = ConfigError((Problem(Place("a", 1), "", "one"), Problem(Place("a", 2), "", "two {braces}")))
    assert isinstance(error, GtunnelError)
    assert error.level is Level.ERR
    assert str(error) == "a:1: one\na:2: two {braces}"


def test_text_is_shown_on_one_line_and_not_without_end() -> None:
    assert shown("a\x1b[31m\n\u202eb") == "a\\x1b[31m\\n\\u202eb"
    assert len(shown("x" * 5000)) == MAX_SHOWN_TEXT


def test_a_problem_that_is_found_later_stands_at_its_option_s_line() -> None:
    service = client("ciphers = A", "options = NO_TICKET", "options = NO_COMPRESSION", "sslVersion = TLSv1.2")
    assert str(problem_of(service, "ciphers", "no")) == 't.conf:5: "ciphers = A": Service [c]: no'
    assert problem_of(service, "options", "no", value=("NO_TICKET", True)).place.line == 6
    assert problem_of(service, "options", "no").place.line == 7
    assert problem_of(service, "sslVersionMin", "no").place.line == 8
    default = problem_of(service, "curves", "no", shown_value="X25519")
    assert str(default) == "t.conf:1: Service [c]: curves = X25519: no"


@pytest.mark.parametrize(("text", "hint"), [("a ;b", True), ("a\t# b", True), ("a;b", False), ("a#b", False)])
def test_what_looks_like_a_comment_after_a_value_is_pointed_out(text: str, hint: bool) -> None:
    assert bool(comment_hint(text)) is hint
