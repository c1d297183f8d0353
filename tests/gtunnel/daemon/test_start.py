"""Which kind of process a configuration makes."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.support.tunnels import GTUNNEL_ENVIRONMENT, Tunnels

LOADED = """
import sys
from gtunnel.conf.load import parse_text
from gtunnel.daemon import start
start.run(lambda: parse_text("client = yes\\nconnect = 127.0.0.1:1\\nsyslog = no\\n"), "test")
for name in ("gtunnel.daemon.supervisor", "gtunnel.daemon.crew", "argparse", "pyroute2", "gtunnel.demo", "http.client"):
    assert name not in sys.modules, name
"""


def test_a_connection_loads_nothing_of_a_daemon() -> None:
    subprocess.run(
        [sys.executable, "-c", LOADED], check=True, env=GTUNNEL_ENVIRONMENT, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip


def test_a_configuration_that_does_not_work_starts_neither(gtunnel: Tunnels) -> None:
    assert "Specified option name is not valid here" in gtunnel.refuse("foo = bar\n")


def test_a_daemon_does_not_become_a_connection(gtunnel: Tunnels, free_port: Callable[[], int]) -> None:
    daemon = gtunnel(f"[c]\nclient = yes\naccept = 127.0.0.1:{free_port()}\nconnect = 1\n")
    file = Path(daemon.argv[-1])
    file.write_text("foreground = yes\nclient = yes\nconnect = 1\n")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for("there is no [section], so no service would be left")
    assert daemon.process.poll() is None


FORGOTTEN = """
import gc, sys
from gtunnel.conf.load import parse_text
from gtunnel.daemon import start, startup
startup.Supervisor = lambda *_, **__: sys.exit(int(not gc.isenabled()))
text = "foreground = yes\\npid =\\nsyslog = no\\n[c]\\nclient = yes\\naccept = 127.0.0.1:0\\nconnect = 2\\n"
sys.exit(start.run(lambda: parse_text(text), "test"))
"""


def test_a_daemon_collects_its_garbage() -> None:
    subprocess.run([sys.executable, "-c", FORGOTTEN], check=True, env=GTUNNEL_ENVIRONMENT)
