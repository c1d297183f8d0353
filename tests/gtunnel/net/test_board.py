"""What is left of a worker that was killed: the list of its programs."""

import os
import signal
import subprocess

from gtunnel.net.board import SLOTS, Board


def test_programs_come_and_go() -> None:
    board = Board()
    board.note(10)
    board.note(11)
    board.forget(10)
    board.forget(99)
    assert list(board.pids()) == [11]
    board.note(12)
    assert sorted(board.pids()) == [11, 12]


def test_a_full_board_takes_no_more() -> None:
    board = Board()
    for pid in range(1, SLOTS + 10):
        board.note(pid)
    assert len(list(board.pids())) == SLOTS
    board.forget(SLOTS + 5)
    board.forget(1)
    assert len(list(board.pids())) == SLOTS - 1


def test_another_process_reads_it_and_ends_them() -> None:
    board = Board()
    program = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    worker = os.fork()
    if worker == 0:
        board.note(program.pid)
        os._exit(0)
    os.waitpid(worker, 0)
    assert list(board.pids()) == [program.pid]
    board.end_all()
    assert program.wait(15) == -signal.SIGTERM
    board.end_all()
