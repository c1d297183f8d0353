import logging.handlers

from gtunnel.events import Level, Log, SilentLog


def test_levels_are_syslogs() -> None:
    # https://www.rfc-editor.org/rfc/rfc5424#section-6.2.1
    names = "EMERG ALERT CRIT ERR WARNING NOTICE INFO DEBUG".split()  # noqa: SIM905
    assert [level.name for level in Level] == names
    assert [level.value for level in Level] == list(range(8))
    assert Level.DEBUG == logging.handlers.SysLogHandler.LOG_DEBUG


def test_less_urgent_is_greater() -> None:
    assert Level.EMERG < Level.NOTICE < Level.DEBUG


def test_a_silent_log_is_a_log_that_says_nothing() -> None:
    log: Log = SilentLog()
    log.write(Level.EMERG, "unheard")
    assert log.threshold is Level.EMERG
    assert log.named("3") is log
