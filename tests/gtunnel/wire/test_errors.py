from gtunnel.wire.errors import MessageError, ProtocolError


def test_errors_are_one_line_with_what_went_wrong() -> None:
    assert str(ProtocolError(protocol="smtp", reason="no")) == "smtp: no"
    assert str(MessageError(side="client", reason="no")) == "the client's message: no"
