"""A worker: it serves, obeys the words of its supervisor, and never dies of them."""

from pathlib import Path

from tests.gtunnel.daemon.crewing import run


def test_it_serves_and_counts_connections_with_the_others() -> None:
    result, log = run("""
        target = socket.create_server(("127.0.0.1", 0))
        conf = f"[it]\\nclient = yes\\naccept = 127.0.0.1:0\\nconnect = 127.0.0.1:{target.getsockname()[1]}\\n"
        crew, sharing, generation = Crew(), shared(), make(conf)
        crew.await_ready(crew.hire(generation, 2, sharing))
        connections = [dial(generation) for _ in range(10)]
        accepted = [target.accept()[0] for _ in connections]
        say(sharing.sequence.next())
        crew.dismiss(crew.members, sharing.log)
    """)
    assert result == 10
    for number in range(10):
        assert f"LOG5[{number}]: Service [it] accepted connection" in log


def test_it_stops_at_once_with_connections_open() -> None:
    result, _ = run("""
        target = socket.create_server(("127.0.0.1", 0))
        conf = f"[it]\\nclient = yes\\naccept = 127.0.0.1:0\\nconnect = 127.0.0.1:{target.getsockname()[1]}\\n"
        crew, sharing, generation = Crew(), shared(), make(conf)
        crew.await_ready(crew.hire(generation, 1, sharing))
        connection = dial(generation)
        accepted = target.accept()[0]
        began = time.monotonic()
        crew.dismiss(crew.members, sharing.log)
        ending = "data"
        while ending == "data":  # the start of a handshake
            try:
                ending = "data" if accepted.recv(1000) else "end"
            except ConnectionResetError:
                ending = "reset"
        say([ending, time.monotonic() - began < 3])
    """)
    assert result == ["reset", True]


def test_a_worker_that_drains_accepts_no_more() -> None:
    result, _ = run("""
        crew, generation = Crew(), make()
        members = crew.hire(generation, 1, shared())
        crew.await_ready(members)
        crew.drain(members)
        statuses = gone(crew)
        connection = dial(generation)  # waits in the backlog of the socket, which is the supervisor's
        connection.settimeout(0.2)
        try:
            ending = connection.recv(1)
        except TimeoutError:
            ending = None
        say([statuses, ending])
    """)
    assert result == [[0], None]


def test_it_reopens_its_log(tmp_path: Path) -> None:
    result, _ = run(f"""
        from gtunnel.conf.settings import LogMode
        from gtunnel.daemon.log import FileSink, Journal, JournalLog
        from gtunnel.events import Level
        from pathlib import Path
        file = Path({str(tmp_path)!r}) / "log"
        journal = Journal([FileSink(str(file), LogMode.APPEND)])
        crew, sharing = Crew(), shared(journal=journal, log=JournalLog(journal, Level.DEBUG))
        crew.await_ready(crew.hire(make(), 1, sharing))
        file.rename(file.with_suffix(".old"))
        crew.reopen()
        crew.connections()  # answered after the word before it
        say(file.exists())
        crew.dismiss(crew.members, sharing.log)
    """)
    assert result is True


def test_a_log_that_cannot_be_reopened_is_said_in_the_old_one(tmp_path: Path) -> None:
    directory = tmp_path / "logs"
    directory.mkdir()
    run(f"""
        from gtunnel.conf.settings import LogMode
        from gtunnel.daemon.log import FileSink, Journal, JournalLog
        from gtunnel.events import Level
        from pathlib import Path
        directory = Path({str(directory)!r})
        journal = Journal([FileSink(str(directory / "log"), LogMode.APPEND)])
        crew, sharing = Crew(), shared(journal=journal, log=JournalLog(journal, Level.DEBUG))
        crew.await_ready(crew.hire(make(), 1, sharing))
        directory.rename(directory.with_name("moved"))
        crew.reopen()
        say(crew.connections())
        crew.dismiss(crew.members, sharing.log)
    """)
    assert "LOG3[ui]: Cannot open log file" in (tmp_path / "moved" / "log").read_text()


def test_it_goes_on_when_it_cannot_answer() -> None:
    result, log = run("""
        import resource
        crew, sharing = Crew(), shared(descriptors=200)
        members = crew.hire(make(), 1, sharing)
        crew.await_ready(members)
        pid = members[0].pid
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, hard))
        channel.ANSWER_SECONDS = 0.5
        nothing = crew.connections()
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
        say([nothing, len(crew.reap()), crew.connections()])
        crew.dismiss(members, sharing.log)
    """)
    assert result == [[], 0, []]
    assert "LOG4[ui]: Cannot list the connections: Too many open files (24)" in log


def test_garbage_on_the_channel_ends_it_as_if_the_supervisor_were_gone() -> None:
    result, _ = run("""
        crew = Crew()
        members = crew.hire(make(), 1, shared())
        crew.await_ready(members)
        members[0].end.send(b"?")
        say(gone(crew))
    """)
    assert result == [0]
