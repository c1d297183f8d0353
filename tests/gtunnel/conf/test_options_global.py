import pytest

from gtunnel.conf.option import BadValueError
from gtunnel.conf.options_global import AUTOMATIC, debug_level, log_settings, workers
from gtunnel.conf.settings import Foreground, LogMode
from gtunnel.events import Level
from tests.gtunnel.conf.samples import CLIENT, process, reasons


@pytest.mark.parametrize(
    ("text", "facility", "level"),
    [
        ("7", "daemon", Level.DEBUG),
        ("err", "daemon", Level.ERR),
        ("DAEMON.Info", "daemon", Level.INFO),
        ("local3.0", "local3", Level.EMERG),
        ("authpriv.warning", "authpriv", Level.WARNING),
    ],
)
def test_debug_names_a_level_and_perhaps_a_facility(text: str, facility: str, level: Level) -> None:
    settings = log_settings(text)
    assert (settings.facility, settings.level) == (facility, level)


@pytest.mark.parametrize(
    "text", ["8", "-1", "07", "warn", "error", "", "nofac.5", ".5", "daemon.", "daemon.x", "a.b.5"]
)
def test_other_debug_levels_are_refused(text: str) -> None:
    with pytest.raises(BadValueError, match=r"^Illegal (debug level|syslog facility)$"):
        log_settings(text)


def test_levels_have_names_and_numbers() -> None:
    assert [debug_level(str(level.value)) for level in Level] == list(Level)
    assert [debug_level(level.name) for level in Level] == list(Level)


def test_workers_are_automatic_or_counted() -> None:
    assert workers("Auto") is None
    assert (workers("1"), workers("256")) == (1, 256)
    for text in ("0", "257", "-1", "", "many"):
        with pytest.raises(BadValueError):
            workers(text)


def test_what_nothing_is_said_about() -> None:
    settings = process()
    assert settings.output.foreground is Foreground.NO
    assert settings.output.syslog
    assert settings.output.ident == "stunnel"
    assert settings.process.pid_file is None
    assert settings.process.workers is None


def test_what_is_said() -> None:
    settings = process(
        *("chroot = /jail", "setuid = root", "setgid = 0", "pid = /run/p", "output = /log", "log = Overwrite"),
        *("syslog = no", "foreground = quiet", "service = mail", "debug = local0.7", "workers = 3"),
    )
    assert (settings.process.chroot, settings.process.user, settings.process.group) == ("/jail", "root", "0")
    assert (settings.process.pid_file, settings.process.workers) == ("/run/p", 3)
    assert (settings.output.file, settings.output.mode, settings.output.syslog) == ("/log", LogMode.OVERWRITE, False)
    assert (settings.output.ident, settings.output.foreground) == ("mail", Foreground.QUIET)
    assert (settings.log.facility, settings.log.level) == ("local0", Level.DEBUG)
    assert settings.services[0].log == settings.log


def test_an_empty_pid_is_no_pid_file_and_the_last_line_counts() -> None:
    assert process("pid = /a", "pid =").process.pid_file is None
    assert process("pid =", "pid = /a").process.pid_file == "/a"


@pytest.mark.parametrize(
    "line",
    [
        *("chroot =", "output =", "setuid = nobody-at-all", "foreground = maybe"),
    ],
)
def test_bad_values_are_told_with_their_line(line: str) -> None:
    (reason,) = reasons(line + "\n[c]\nclient = yes\naccept = 1\nconnect = 2\n")
    assert reason.startswith(f't.conf:1: "{line}": ')


def test_a_control_socket_has_an_absolute_path_or_none() -> None:
    assert process("control = /run/x.control").process.control == "/run/x.control"
    assert process("control =").process.control is None
    assert process().process.control == AUTOMATIC
    for wrong in ("x.control", "/" + "x" * 107):
        (reason,) = reasons(f"control = {wrong}\n{CLIENT}")
        assert "path" in reason


def test_old_connections_have_a_day_unless_it_is_said() -> None:
    assert process().process.drain_timeout == 86400.0
    assert process("drainTimeout = 60").process.drain_timeout == 60.0
    assert process("drainTimeout = 0").process.drain_timeout is None
