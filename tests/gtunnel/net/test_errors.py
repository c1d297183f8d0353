"""Socket errors read as stunnel's log does."""

import errno

from gtunnel.events import Level
from gtunnel.net.errors import NoTargetError, ResolveError, SocketError, WaitTimeoutError, errno_text


def test_an_errno_is_shown_with_its_number() -> None:
    assert errno_text(OSError(errno.ECONNREFUSED, "whatever")) == "Connection refused (111)"


def test_an_error_without_errno_is_shown_as_it_is() -> None:
    assert errno_text(OSError("odd")) == "odd"


def test_a_socket_error_names_the_operation() -> None:
    error = SocketError.of("readsocket", OSError(errno.ECONNRESET, "x"))
    assert str(error) == "readsocket: Connection reset by peer (104)"
    assert error.level is Level.ERR


def test_a_timeout_names_the_option_and_is_no_error_of_ours() -> None:
    error = WaitTimeoutError(waiting="transfer", option="TIMEOUTidle", consequence="sending reset")
    assert str(error) == "transfer: s_poll_wait: TIMEOUTidle exceeded: sending reset"
    assert error.level is Level.INFO


def test_the_rest_say_what_is_missing() -> None:
    assert str(NoTargetError()) == "No more addresses to connect"
    assert str(ResolveError(host="x", reason="unknown")) == "Error resolving 'x': unknown"
