"""A demonstration that fails shows the last words of the program concerned."""

from gtunnel.demo.errors import DemoError


def test_it_says_what_and_shows_the_log() -> None:
    assert str(DemoError(what="It broke:", log="    why")) == "It broke:\n    why"
