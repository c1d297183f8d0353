"""The ends of a connection to a program, and a peer that is one."""

import os
import socket
import termios

from gtunnel.conf.settings import ProgramSettings
from gtunnel.net import programends
from gtunnel.net.launch import Launch
from gtunnel.net.programends import ProgramLeg
from gtunnel.net.ptyleg import PtyLeg
from gtunnel.net.waiting import Wakeup


def launch(*, pty: bool = False) -> Launch:
    return Launch(settings=ProgramSettings(path="/bin/cat", arguments=("cat",), pty=pty))


def test_a_program_that_ends_with_unread_input_has_ended_in_order() -> None:
    ends = programends.make(launch())
    wakeup = Wakeup()
    leg = ends.leg(wakeup)
    assert isinstance(leg, ProgramLeg)
    assert isinstance(ends.theirs, socket.socket)
    buffer = memoryview(bytearray(100))
    assert leg.send(memoryview(b"never read")) == 10
    ends.theirs.sendall(b"answer")
    ends.theirs.close()
    assert leg.receive(buffer) == 6
    assert leg.receive(buffer) == 0
    assert leg.send(memoryview(b"more")) == 4
    leg.finish()
    leg.close(reset=False)
    wakeup.close()


def test_a_terminal_leaves_output_as_it_is() -> None:
    ends = programends.make(launch(pty=True))
    assert isinstance(ends.theirs, int)
    attributes = termios.tcgetattr(ends.theirs)
    assert not attributes[1] & termios.OPOST
    assert attributes[3] & termios.ICANON
    assert ends.terminal == os.ttyname(ends.theirs)
    wakeup = Wakeup()
    leg = ends.leg(wakeup)
    assert isinstance(leg, PtyLeg)
    assert ends.held() is None
    leg.close(reset=False)
    wakeup.close()


def test_standard_error_goes_to_the_connection_or_stays() -> None:
    ends = programends.make(launch())
    assert len(ends.actions(aloud=True)) == 2
    assert len(ends.actions(aloud=False)) == 3
    ends.close()
