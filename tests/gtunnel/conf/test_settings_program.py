from gtunnel.conf.settings import ProgramSettings


def test_a_program_is_run_once_on_sockets_unless_it_says_otherwise() -> None:
    settings = ProgramSettings(path="/bin/cat", arguments=("cat",))
    assert (settings.pty, settings.retry) == (False, None)
