"""`gtunnel reopen` beside running gtunnels."""

from collections.abc import Callable
from pathlib import Path

from tests.support import servers
from tests.support.servers import Server
from tests.support.tunnels import Tunnels


def test_a_renamed_log_is_left_for_a_new_one(
    gtunnel: Tunnels, server: Callable[..., Server], free_port: Callable[[], int], tmp_path: Path
) -> None:
    log = tmp_path / "it.log"
    running = gtunnel(
        f"output = {log}\ncontrol = {tmp_path}/x.control\n[it]\nclient = yes\naccept = 127.0.0.1:{free_port()}\n"
        f"connect = {server(servers.hang).endpoint}\n"
    )
    log.rename(tmp_path / "old.log")
    done = gtunnel.run("reopen", running.argv[-1])
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "Log file reopened" in log.read_text()
    log.rename(tmp_path / "older.log")
    log.mkdir()
    done = gtunnel.run("reopen", running.argv[-1])
    assert done.returncode == 1
    assert "Cannot open log file" in done.stderr


def test_nobody_runs_it(gtunnel: Tunnels, tmp_path: Path) -> None:
    file = tmp_path / "it.conf"
    file.write_text("[it]\nclient = yes\naccept = 1\nconnect = 2\n")
    done = gtunnel.run("reopen", file)
    assert done.returncode == 1
    assert "no gtunnel is running there" in done.stderr
