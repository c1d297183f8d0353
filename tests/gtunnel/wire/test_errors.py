from gtunnel.wire.errors import MessageError, PlaintextError, ProtocolError, RefusalError, quoted


def test_errors_are_one_line_with_what_went_wrong() -> None:
    assert str(ProtocolError(protocol="smtp", reason="no")) == "smtp: no"
    assert str(MessageError(side="client", reason="no")) == "the client's message: no"
    words = quoted(b"250 a\r\n\xff'")
    assert str(PlaintextError(count=9, words=words)) == (
        "Plaintext came where TLS should begin: the server said 9 more byte(s), \"250 a\\r\\n\\xff'\""
    )


def test_what_a_peer_said_is_quoted_in_full_only_if_it_is_short() -> None:
    assert quoted(b"x" * 1000) == "'" + "x" * 100 + "'..."


def test_who_refuses_has_words_for_the_client() -> None:
    error = RefusalError(b"554 no\r\n", protocol="smtp", reason="no")
    assert (error.words, str(error)) == (b"554 no\r\n", "smtp: no")
