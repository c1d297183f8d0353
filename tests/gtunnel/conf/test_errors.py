from gtunnel.conf.errors import MAX_SHOWN_TEXT, ConfigError, Problem, shown
from gtunnel.conf.settings import Place
from gtunnel.errors import GtunnelError
from gtunnel.events import Level


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
