"""The workers, as the supervisor sees them. Each test is a supervisor in a process of its own."""

import signal

import pytest

from tests.gtunnel.daemon.crewing import run


def test_workers_come_up_and_go_when_they_are_dismissed() -> None:
    result, log = run("""
        crew, sharing = Crew(), shared()
        members = crew.hire(make(), 2, sharing)
        ready = crew.await_ready(members)
        alive = len(crew.members)
        crew.dismiss(crew.members, sharing.log)
        say([ready, alive, len(crew.members), len({member.pid for member in members})])
    """)
    assert result == [True, 2, 0, 2]
    assert "killed" not in log


def test_what_is_loaded_before_a_fork_is_nothing_for_the_collector_to_write_to() -> None:
    result, _ = run("""
        import gc
        crew, sharing = Crew(), shared()
        members = crew.hire(make(), 1, sharing)
        say([gc.get_freeze_count() > 10_000, crew.await_ready(members)])
        crew.dismiss(members, sharing.log)
    """)
    assert result == [True, True]


def test_what_is_garbage_after_a_reload_is_freed_though_it_was_there_at_the_fork_before() -> None:
    result, _ = run("""
        import weakref
        class Knot:
            pass
        crew, sharing, knot = Crew(), shared(), Knot()
        knot.itself, gone = knot, weakref.ref(knot)
        crew.hire(make(), 1, sharing)
        del knot
        there = gone() is not None
        crew.hire(make(), 1, sharing)
        say([there, gone() is None])
        crew.dismiss(crew.members, sharing.log)
    """)
    assert result == [True, True]


def test_a_dead_worker_is_buried_with_its_status() -> None:
    result, _ = run("""
        crew, sharing = Crew(), shared()
        members = crew.hire(make(), 2, sharing)
        crew.await_ready(members)
        os.kill(members[0].pid, signal.SIGKILL)
        dead = []
        while not dead:
            dead = crew.reap()
        say([dead[0][0] is members[0], dead[0][1], members[0].end.fileno(), [m is members[1] for m in crew.members]])
        crew.dismiss(crew.members, sharing.log)
    """)
    assert result == [True, signal.SIGKILL, -1, [True]]


def test_a_worker_that_does_not_stop_is_killed() -> None:
    result, log = run("""
        crews.STOP_SECONDS = 0.2
        crew, sharing = Crew(), shared()
        members = crew.hire(make(), 2, sharing)
        crew.await_ready(members)
        os.kill(members[0].pid, signal.SIGSTOP)
        crew.dismiss(members, sharing.log)
        say([members[0].pid, len(crew.members)])
    """)
    assert isinstance(result, list)
    assert result[1] == 0
    assert f"LOG4[ui]: Worker {result[0]} did not stop within 0 seconds: killed" in log
    assert log.count("killed") == 1


def test_dismissing_some_leaves_the_others_to_be_reaped() -> None:
    result, _ = run("""
        crew, sharing = Crew(), shared()
        old, new = crew.hire(make(), 2, sharing)
        crew.await_ready([old, new])
        os.kill(old.pid, signal.SIGKILL)
        os.waitid(os.P_PID, old.pid, os.WEXITED | os.WNOWAIT)
        crew.dismiss([new], sharing.log)
        say([[member is old for member in crew.members], [status for _, status in crew.reap()]])
    """)
    assert result == [[True], [signal.SIGKILL]]


def test_a_worker_that_dies_before_it_accepts_is_not_ready() -> None:
    result, log = run("""
        def fail():
            raise RuntimeError("no luck")
        crew = Crew()
        members = crew.hire(make(), 2, shared(after_fork=fail))
        say([crew.await_ready(members), gone(crew)])
    """)
    assert result == [False, [256, 256]]
    assert "LOG2[ui]: INTERNAL ERROR: worker: RuntimeError: no luck" in log


def test_a_worker_that_takes_too_long_is_not_ready() -> None:
    result, _ = run("""
        crews.START_SECONDS = 0.2
        crew, sharing = Crew(), shared(after_fork=lambda: time.sleep(60))
        members = crew.hire(make(), 1, sharing)
        say([crew.await_ready(members), members[0].end.gettimeout()])
        crew.dismiss(members, sharing.log)
    """)
    assert result == [False, None]


def test_where_no_more_can_be_forked_fewer_come_and_the_log_says_so() -> None:
    result, log = run("""
        import resource
        crew, sharing, generation = Crew(), shared(), make()
        before = len(os.listdir("/proc/self/fd"))
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (before + 1, hard))
        members = crew.hire(generation, 3, sharing)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        say([len(members), len(crew.members)])
        crew.dismiss(crew.members, sharing.log)
    """)
    assert result == [1, 1]
    assert "LOG3[ui]: Cannot start a worker: Too many open files (24)" in log


def test_when_the_supervisor_is_gone_its_workers_end() -> None:
    result, _ = run("""
        receive, send = os.pipe()
        if os.fork() == 0:
            os.close(receive)
            crew = Crew()
            members = crew.hire(make(), 3, shared())
            crew.await_ready(members)
            os.write(send, json.dumps([member.pid for member in members]).encode())
            os.kill(os.getpid(), signal.SIGKILL)
        os.close(send)
        with os.fdopen(receive) as reading:  # its end comes when the last worker has closed its copy
            pids = json.loads(reading.read())
        say(len(pids))
    """)
    assert result == 3


def test_the_connections_of_all_workers_are_listed_oldest_first() -> None:
    result, _ = run("""
        target = socket.create_server(("127.0.0.1", 0))
        conf = f"[it]\\nclient = yes\\naccept = 127.0.0.1:0\\nconnect = 127.0.0.1:{target.getsockname()[1]}\\n"
        crew, sharing, generation = Crew(), shared(), make(conf)
        members = crew.hire(generation, 2, sharing)
        crew.await_ready(members)
        connections = [dial(generation) for _ in range(6)]
        accepted = [target.accept()[0] for _ in connections]
        lines = crew.connections()
        peers = {line["peer"] for line in lines}
        ours = {"%s:%s" % connection.getsockname() for connection in connections}
        started = [line["started"] for line in lines]
        say([len(lines), peers == ours, started == sorted(started), {line["service"] for line in lines} == {"it"}])
        crew.dismiss(crew.members, sharing.log)
    """)
    assert result == [6, True, True, True]


def test_a_draining_worker_ends_with_its_last_connection() -> None:
    result, _ = run("""
        target = socket.create_server(("127.0.0.1", 0))
        conf = f"[it]\\nclient = yes\\naccept = 127.0.0.1:0\\nconnect = 127.0.0.1:{target.getsockname()[1]}\\n"
        crew, generation = Crew(), make(conf)
        members = crew.hire(generation, 1, shared())
        crew.await_ready(members)
        connection = dial(generation)
        accepted = target.accept()[0]
        crew.drain(members)
        listed = len(crew.connections())
        alive = len(crew.reap())
        connection.close()
        accepted.close()
        say([listed, alive, gone(crew), members[0].draining])
    """)
    assert result == [1, 0, [0], True]


@pytest.mark.parametrize("number", ["SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2"])
def test_a_worker_does_not_mind_what_is_for_its_supervisor(number: str) -> None:
    result, _ = run(f"""
        crew, sharing = Crew(), shared()
        members = crew.hire(make(), 1, sharing)
        crew.await_ready(members)
        os.kill(members[0].pid, signal.{number})
        say([crew.connections(), len(crew.reap())])
        crew.dismiss(members, sharing.log)
    """)
    assert result == [[], 0]


def test_who_cannot_be_counted_is_told_of() -> None:
    _, log = run("""
        crew, sharing = Crew(), shared()
        while sharing.census.take() is not None:
            pass
        members = crew.hire(make(), 1, sharing)
        crew.await_ready(members)
        crew.dismiss(members, sharing.log)
        say([])
    """)
    assert "LOG4[ui]: Too many workers live: the connections of the next one are not limited" in log
