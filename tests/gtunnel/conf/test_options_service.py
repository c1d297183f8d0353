import pytest

from gtunnel.address import HostPort, UnixPath
from gtunnel.conf.settings import Failover, LogId, Timeouts, Transparency
from gtunnel.events import Level
from tests.gtunnel.conf.samples import CLIENT, client, configuration, gateway, reasons


def test_what_nothing_is_said_about() -> None:
    service = client()
    assert service.timeouts == Timeouts(busy=300, close=60, connect=10, idle=43200)
    assert service.connect.failover is Failover.PRIO
    assert not service.connect.delay
    assert service.connect.local is None
    assert service.reset
    assert service.log_id is LogId.SEQUENTIAL
    assert service.transparency is Transparency.NONE
    assert service.log.level is Level.NOTICE
    assert service.capture is None


def test_what_is_said() -> None:
    service = client(
        *(
            "accept = ::1:5",
            "accept = /run/s",
            "connect = host:7",
            "connect = /run/t",
            "failover = rr",
            "local = 127.0.0.2",
        ),
        *("debug = 7", "logId = process", "reset = no", "TIMEOUTbusy = 1", "TIMEOUTclose = 0", "TIMEOUTconnect = 2"),
        *("TIMEOUTidle = 3", "transparent = source"),
    )
    assert service.accept == (HostPort("127.0.0.1", 1000), HostPort("::1", 5), UnixPath("/run/s"))
    assert service.connect.targets == (HostPort("127.0.0.1", 2000), HostPort("host", 7), UnixPath("/run/t"))
    assert service.connect.failover is Failover.RR
    assert service.connect.local == "127.0.0.2"
    assert (service.log.level, service.log.facility) == (Level.DEBUG, "daemon")
    assert service.log_id is LogId.PROCESS
    assert not service.reset
    assert service.timeouts == Timeouts(busy=1, close=0, connect=2, idle=3)
    assert service.transparency is Transparency.SOURCE


def test_delay_takes_targets_in_order() -> None:
    assert client("delay = yes", "failover = rr").connect.failover is Failover.PRIO


@pytest.mark.parametrize(("old", "new"), [("yes", Transparency.SOURCE), ("no", Transparency.NONE)])
def test_transparent_has_old_values(old: str, new: Transparency) -> None:
    assert client(f"transparent = {old}").transparency is new


def test_transparent_destination_needs_no_connect() -> None:
    assert gateway().connect.targets == ()


def test_a_service_may_have_another_name_than_its_section() -> None:
    assert client("service = other").name == "other"
    assert client().name == "c"


def test_options_before_the_first_section_are_defaults_for_all_services() -> None:
    text = "client = yes\nTIMEOUTidle = 5\nconnect = 1\nsocket = l:SO_KEEPALIVE=yes\n"
    one, two = configuration(text + "[a]\naccept = 1\n[b]\naccept = 2\nconnect = 3\nTIMEOUTidle = 6\n").services
    assert (one.timeouts.idle, two.timeouts.idle) == (5, 6)
    assert [target.port for target in two.connect.targets if isinstance(target, HostPort)] == [1, 3]
    assert [option.name for option in one.sockets.local] == ["TCP_NODELAY", "SO_KEEPALIVE"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("TIMEOUTidle = -1", "Illegal idle timeout"),
        ("TIMEOUTidle = 99999999999", "Illegal idle timeout"),
        ("debug = daemon.7", "Illegal debug level"),
        ("failover = random", "The argument needs to be either 'rr' or 'prio'"),
        ("logId = pid", "Invalid connection identifier type"),
        ("transparent = maybe", "Selected transparent proxy mode is not available"),
        ("accept = nowhere", "neither a port number nor a known service"),
        ("connect = 0", "port 0 cannot be connected to"),
        ("delay = 1", "The argument needs to be either 'yes' or 'no'"),
    ],
)
def test_bad_values_are_told(line: str, reason: str) -> None:
    (told,) = reasons(CLIENT + line)
    assert told.startswith(f't.conf:5: "{line}": ')
    assert reason in told
