import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtunnel.address import HostPort, UnixPath
from gtunnel.conf import parsers
from gtunnel.conf.option import BadValueError
from gtunnel.conf.settings import Failover
from gtunnel.errors import AddressError


@pytest.mark.parametrize(("text", "value"), [("5", 5), ("05", 5), ("+5", 5), ("0", 0), ("10", 10)])
def test_integers_are_read_as_strtol_reads_them(text: str, value: int) -> None:
    assert parsers.integer(0, 10, "bad")(text) == value


@pytest.mark.parametrize("text", ["", "x", "1.5", "0x5", "5 s", "11", "-1", "99999999999999999999999", "\u0665", "1_0"])
def test_integers_out_of_bounds_and_other_texts_are_refused(text: str) -> None:
    with pytest.raises(BadValueError, match=r"^bad"):
        parsers.integer(0, 10, "bad")(text)


def test_a_choice_takes_any_case_and_aliases() -> None:
    parse = parsers.choice(Failover, turns=Failover.RR)
    assert [parse(text) for text in ("rr", "PRIO", "Turns")] == [Failover.RR, Failover.PRIO, Failover.RR]
    with pytest.raises(BadValueError, match="The argument needs to be either 'rr', 'prio' or 'turns'"):
        parse("random")


def test_yes_and_no_are_the_only_answers() -> None:
    assert parsers.yes_no("YES")
    assert not parsers.yes_no("no")
    for text in ("1", "true", "on", ""):
        with pytest.raises(BadValueError, match="The argument needs to be either 'yes' or 'no'"):
            parsers.yes_no(text)


def test_a_path_is_neither_empty_nor_endless() -> None:
    assert parsers.path("/a b") == "/a b"
    assert parsers.path_or_none("") is None
    for text in ("", "x" * (parsers.MAX_PATH + 1)):
        with pytest.raises(BadValueError):
            parsers.path(text)


def test_a_host_is_not_resolved() -> None:
    assert parsers.host("name.invalid") == "name.invalid"
    assert parsers.server_name("") == ""
    for text in ("", "a b", "x" * 256):
        with pytest.raises(BadValueError):
            parsers.host(text)


def test_endpoints_may_have_port_0_and_targets_may_not() -> None:
    assert parsers.endpoint("0") == HostPort("", 0)
    assert parsers.target("::1:80") == HostPort("::1", 80)
    assert parsers.target("/run/s") == UnixPath("/run/s")
    with pytest.raises(AddressError):
        parsers.target("host:0")


def test_addresses_become_canonical() -> None:
    assert parsers.ip_address("2001:DB8:0::1") == "2001:db8::1"
    for text in ("host", "1.2.3", "fe80::1%lo", "192.0.2.0/24"):
        with pytest.raises(BadValueError):
            parsers.ip_address(text)


def test_users_and_groups_have_to_exist() -> None:
    assert parsers.user("root") == "root"
    assert parsers.user("12345") == "12345"
    assert parsers.group("root") == "root"
    for parse in (parsers.user, parsers.group):
        for text in ("no-such-name", "", "-1", str(2**32 - 1), "a\0b"):
            with pytest.raises(BadValueError, match=r"Illegal [UG]ID"):
                parse(text)


def test_seconds_may_be_0() -> None:
    assert parsers.seconds("idle")("0") == 0.0
    with pytest.raises(BadValueError, match="Illegal idle timeout"):
        parsers.seconds("idle")("-1")


@given(st.text())
def test_parsers_fail_in_one_way(text: str) -> None:
    for parse in (parsers.endpoint, parsers.target, parsers.ip_address, parsers.user, parsers.host, parsers.yes_no):
        try:
            parse(text)
        except (BadValueError, AddressError):
            continue
        except UnicodeEncodeError:
            # Lone surrogates never get here: the grammar demands UTF-8.
            assert any("\ud800" <= c <= "\udfff" for c in text)
