import pytest

from gtunnel.conf.option import BadValueError
from gtunnel.conf.tlsoptions import NAMES, parse_tls_option


def test_names_are_read_in_any_case_and_spelled_properly() -> None:
    assert parse_tls_option("no_sslv3") == ("NO_SSLv3", True)
    assert parse_tls_option("-NO_TLSV1_2") == ("NO_TLSv1_2", False)


def test_all_names_are_their_own_spelling() -> None:
    assert [parse_tls_option(name) for name in NAMES] == [(name, True) for name in NAMES]
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("text", ["", "-", "FOO", "SSL_OP_NO_TICKET", "NO_SSLv3 NO_TLSv1", "--NO_TICKET"])
def test_unknown_names_are_refused(text: str) -> None:
    with pytest.raises(BadValueError, match=r"^Illegal TLS option"):
        parse_tls_option(text)


def test_a_misspelt_option_suggests_the_nearest() -> None:
    with pytest.raises(BadValueError, match=r'did you mean "NO_TICKET"\?$'):
        parse_tls_option("-NO_TIKET")
