import contextlib
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtunnel.conf.option import BadValueError
from gtunnel.conf.targetrules import TargetRule, parse


@pytest.mark.parametrize(
    ("text", "name", "address", "port", "matches"),
    [
        ("allow *", None, "192.0.2.1", 1, True),
        ("allow *:80", None, "192.0.2.1", 81, False),
        ("deny 10.0.0.0/8", "a.example", "10.1.2.3", 1, True),
        ("deny 10.0.0.0/8", None, "11.1.2.3", 1, False),
        ("deny 10.0.0.0/8", None, "::1", 1, False),
        ("allow 192.0.2.1:80,443,8000-8999", None, "192.0.2.1", 8500, True),
        ("allow 192.0.2.1:80,443,8000-8999", None, "192.0.2.1", 444, False),
        ("allow 2001:db8::/32", None, "2001:db8::1", 1, True),
        ("allow [2001:db8::]/32:443", None, "2001:db8::1", 443, True),
        ("allow [2001:db8::]/32:443", None, "2001:db8::1", 80, False),
        ("allow [2001:db8::1]:443", None, "2001:db8::1", 443, True),
        ("allow ::ffff:192.0.2.0/120", None, "192.0.2.9", 1, True),
        ("ALLOW Example.ORG", "example.org.", "192.0.2.1", 1, True),
        ("allow example.org", "www.example.org", "192.0.2.1", 1, False),
        ("allow example.org", None, "192.0.2.1", 1, False),
        ("allow *.example.org:80", "www.EXAMPLE.org", "192.0.2.1", 80, True),
        ("allow *.example.org", "example.org", "192.0.2.1", 80, False),
        ("allow *.example.org", ".example.org", "192.0.2.1", 80, True),
        ("allow *.example.org", "badexample.org", "192.0.2.1", 80, False),
    ],
)
def test_what_a_line_is_about(text: str, name: str | None, address: str, port: int, matches: bool) -> None:
    assert parse(text).matches(name, ip_address(address), port) is matches


def test_which_lines_are_about_loopback_in_particular() -> None:
    assert parse("allow 127.0.0.1").inside
    assert parse("allow 127.0.0.0/8").inside
    assert parse("allow ::1").inside
    assert not any(parse(f"allow {host}").inside for host in ("0.0.0.0/0", "::/0", "*", "localhost"))


@pytest.mark.parametrize(
    "text",
    [
        *("", "allow", "allow ", "permit *", "10.0.0.0/8", "allow 10.0.0.1/8", "allow 10.0.0.0/33", "allow 1.2.3"),
        *(
            "allow a:0",
            "allow a:65536",
            "allow a:2-1",
            "allow a:",
            "allow a:x",
            "allow a:1,",
            "allow [::1",
            "allow :80",
        ),
        *(
            "allow *a.example",
            "allow a*.example",
            "allow a b",
            "allow ../x",
            "allow [::1]x:80",
            "allow a..b",
            "allow [a]x",
        ),
        "allow *:" + ",".join(["1"] * 100),
    ],
)
def test_other_lines_are_refused(text: str) -> None:
    with pytest.raises(BadValueError):
        parse(text)


@given(st.text(max_size=40), st.sampled_from(["allow ", "deny ", ""]))
def test_any_line_is_read_or_refused(text: str, verb: str) -> None:
    with contextlib.suppress(BadValueError):
        assert isinstance(parse(verb + text), TargetRule)
