"""`gtunnel status`: what it says of a running gtunnel, to people and to programs."""

import json
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gtunnel.cli.status import _lines, _span
from gtunnel.daemon.control import Answer, Control
from gtunnel.daemon.peers import anybody
from gtunnel.daemon.reception import Reception
from tests.gtunnel.cli.commands import ask
from tests.gtunnel.daemon.watching import soon
from tests.support import servers
from tests.support.servers import Server
from tests.support.tunnels import Tunnels

Capture = pytest.CaptureFixture[str]

FACTS: dict[str, Any] = {
    "version": "0.1.0",
    "pid": 7,
    "started": "2026-11-27T20:00:00+00:00",
    "uptime": 93784.5,
    "configuration": "/etc/gtunnel/gtunnel.conf",
    "generation": 3,
    "last_reload": {"time": "2026-11-27T21:00:00+00:00", "cause": "reload", "done": False, "lines": ["x.conf:1: no"]},
    "services": [
        {
            "name": "web",
            "client": True,
            "transparent": "both",
            "accept": ["127.0.0.1:8443", "[::1]:8443"],
            "names_of": [],
            "connections": 2,
        },
        {"name": "b", "client": False, "transparent": "none", "accept": [], "names_of": ["web"], "connections": 0},
    ],
    "workers": [
        {"pid": 8, "state": "serving", "generation": 3, "answers": True, "uptime": 5, "connections": 2, "accepted": 9},
        {
            "pid": 9,
            "state": "draining",
            "generation": 2,
            "answers": False,
            "uptime": 65,
            "connections": None,
            "accepted": None,
        },
    ],
    "connections": {
        "total": 2,
        "by_service": {"web": 2},
        "by_client": [{"client": f"192.0.2.{n}", "connections": 1} for n in range(12)],
        "clients": None,
    },
    "list": {
        "shown": 1,
        "of": 2,
        "connections": [
            {
                "id": "17",
                "service": "web",
                "client": "192.0.2.2:4000",
                "destination": "198.51.100.2:80",
                "target": None,
                "tls": "TLSv1.3",
                "to_target": 5,
                "to_client": 6,
                "age": 3700.1,
            }
        ],
    },
}

TEXT = """\
gtunnel 0.1.0, process 7, up 1d 2h (since 2026-11-27T20:00:00+00:00)
configuration: /etc/gtunnel/gtunnel.conf, generation 3
last reload: 2026-11-27T21:00:00+00:00, of the configuration: FAILED, the old one goes on
  x.conf:1: no

service  mode                      accepts on                  connections
web      client, transparent both  127.0.0.1:8443, [::1]:8443  2
b        server                    names of web                0

worker  state                    generation  up     connections  accepted
8       serving                  3           5s     2            9
9       draining, NOT ANSWERING  2           1m 5s  ?            ?

connections: 2, without those of 1 worker(s) that do not answer
service  connections
web      2

client (the first 10 of many)  connections
192.0.2.0                      1
"""

LIST = """
id  service  client          destination      target  tls      bytes to target/client  age
17  web      192.0.2.2:4000  198.51.100.2:80  -       TLSv1.3  5/6                     1h 1m
(the oldest 1 of 2)
"""


def test_people_get_tables() -> None:
    text = "".join(f"{line}\n" for line in _lines(FACTS))
    assert text.startswith(TEXT)
    assert text.endswith(LIST)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0s"), (59.9, "59s"), (60, "1m 0s"), (3661, "1h 1m"), (90000, "1d 1h")]
)
def test_times_are_short(seconds: float, text: str) -> None:
    assert _span(seconds) == text


@pytest.fixture
def target(server: Callable[..., Server]) -> Server:
    return server(servers.hang)


def test_it_asks_who_runs(gtunnel: Tunnels, target: Server, free_port: Callable[[], int]) -> None:
    port = free_port()
    conf = f"workers = 2\n[it]\nclient = yes\naccept = 127.0.0.1:{port}\nconnect = {target.endpoint}\n"
    running = gtunnel(conf)
    path = running.argv[-1]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        running.wait_for("connected remote server")
        mine = f"127.0.0.1:{client.getsockname()[1]}"
        done = gtunnel.run("status", "--connections", path)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"process {running.pid}" in done.stdout
        assert f"configuration: {path}, generation 1\nlast reload: none\n" in done.stdout
        assert f"it       client  127.0.0.1:{port}" in done.stdout
        assert "connections: 1\n" in done.stdout
        assert mine in done.stdout
        facts = json.loads(gtunnel.run("status", "--connections", "--json", path).stdout)
        (one,) = facts["list"]["connections"]
        assert (one["service"], one["client"], one["target"], one["tls"]) == ("it", mine, target.endpoint, None)
        assert sum(worker["accepted"] for worker in facts["workers"]) == 1
        assert gtunnel.run("reload", "--wait", path).returncode == 0
        facts = json.loads(gtunnel.run("status", "--json", path).stdout)
        assert (facts["generation"], facts["last_reload"]["done"]) == (2, True)
        assert "certificate is not verified" in facts["last_reload"]["lines"][0]
        assert sorted(worker["state"] for worker in facts["workers"]).count("draining") >= 1
        assert "list" not in facts
        Path(path).write_text(Path(path).read_text() + "nonsense = 1\n")
        running.send(signal.SIGHUP)
        running.wait_for("Failed to reload")
    done = gtunnel.run("status", path)
    assert "of the configuration: FAILED, the old one goes on" in done.stdout
    assert "Specified option name is not valid here" in done.stdout


def test_nobody_runs_it(gtunnel: Tunnels, target: Server) -> None:
    file = gtunnel.configuration(f"[it]\nclient = yes\naccept = 1\nconnect = {target.endpoint}\n")
    done = gtunnel.run("status", file)
    assert (done.returncode, "no gtunnel is running there" in done.stderr) == (1, True)
    off = gtunnel.configuration("control =\n[it]\nclient = yes\naccept = 1\nconnect = 2\n")
    done = gtunnel.run("status", off)
    assert (done.returncode, "there is no control socket" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer(done=False, lines=("status: there is no such \x1b[2Jrequest",)), "there is no such ?[2Jrequest"),
        (Answer(done=True, facts={"version": "9"}), "does not understand"),
        (Answer(done=True, facts={**FACTS, "workers": 7}), "does not understand"),
    ],
)
def test_another_version_may_run(tmp_path: Path, capsys: Capture, answer: Answer, says: str) -> None:
    reception = Reception(Control(tmp_path / "x"), anybody)
    over = threading.Event()

    def serve() -> None:
        def answered() -> bool:
            for request in reception.look():
                request.answer(answer)
                over.set()
            return over.is_set()

        assert soon(answered)

    thread = threading.Thread(target=serve)
    thread.start()
    found = ask(capsys, "status", "--control", tmp_path / "x")
    thread.join()
    reception.close()
    assert (found.status, found.out) == (1, "")
    assert says in found.err


def test_names_do_not_drive_the_terminal(tmp_path: Path, capsys: Capture) -> None:
    reception = Reception(Control(tmp_path / "x"), anybody)
    hostile = {**FACTS, "connections": {**FACTS["connections"], "by_service": {"\x1b[2J": 1}}}
    over = threading.Event()

    def answered() -> bool:
        for request in reception.look():
            request.answer(Answer(done=True, facts=hostile))
            over.set()
        return over.is_set()

    thread = threading.Thread(target=soon, args=(answered,))
    thread.start()
    found = ask(capsys, "status", "--control", tmp_path / "x")
    thread.join()
    reception.close()
    assert found.status == 0
    assert "\x1b" not in found.out
