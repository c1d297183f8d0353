"""Small configurations for the tests of conf/, and what reading them gave."""

from gtunnel.conf.errors import ConfigError, Problem
from gtunnel.conf.load import parse_text
from gtunnel.conf.settings import Configuration, ServiceSettings

FILE = "t.conf"
CLIENT = "[c]\nclient = yes\naccept = 127.0.0.1:1000\nconnect = 127.0.0.1:2000\n"
SERVER = "[s]\naccept = 127.0.0.1:1001\nconnect = 127.0.0.1:2001\ncert = both.pem\n"
GATEWAY = "[g]\nclient = yes\naccept = 1002\ntransparent = both\n"


def configuration(text: str | bytes) -> Configuration:
    """The configuration that a text makes."""
    return parse_text(text, FILE)


def client(*lines: str) -> ServiceSettings:
    """A working client service with more lines."""
    return configuration(CLIENT + "\n".join(lines)).services[0]


def server(*lines: str) -> ServiceSettings:
    """A working server service with more lines."""
    return configuration(SERVER + "\n".join(lines)).services[0]


def gateway(*lines: str) -> ServiceSettings:
    """A working transparent service with more lines."""
    return configuration(GATEWAY + "\n".join(lines)).services[0]


def process(*lines: str) -> Configuration:
    """Global lines before a working service."""
    return configuration("\n".join(lines) + "\n" + CLIENT)


def problems(text: str | bytes) -> tuple[Problem, ...]:
    """What is wrong with a text; empty if nothing is."""
    try:
        parse_text(text, FILE)
    except ConfigError as error:
        return error.problems
    return ()


def reasons(text: str | bytes) -> list[str]:
    """The same, as one line each."""
    return [str(problem) for problem in problems(text)]
