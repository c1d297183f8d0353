"""OpenSSL's options by name: what the table says is what the library does."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from OpenSSL import SSL

from gtunnel.conf.tlsoptions import NAMES
from gtunnel.tls.openssl import options


def test_options_have_distinct_names_and_known_bits() -> None:
    numbers = options.numbers()
    assert numbers["NO_TLSv1_2"] == SSL.OP_NO_TLSv1_2
    assert numbers["NO_TICKET"] == SSL.OP_NO_TICKET
    assert list(numbers) == sorted(numbers)
    assert len({name.lower() for name in numbers}) == len(numbers)


def test_what_the_bindings_list_is_what_the_table_says() -> None:
    listed = {name: getattr(SSL, f"OP_{name}") for name in NAMES if hasattr(SSL, f"OP_{name}")}
    table = options._table(0x30000000)
    assert len(listed) > 15
    assert {name: table[name] for name in listed} == listed


def test_a_table_that_contradicts_the_bindings_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(options._BITS, "NO_TICKET", 5)
    numbers = options.numbers.__wrapped__()
    assert numbers["NO_TICKET"] == SSL.OP_NO_TICKET
    assert "ALLOW_CLIENT_RENEGOTIATION" not in numbers


def test_the_table_is_that_of_openssl_3_s_header() -> None:
    header = Path("/usr/include/openssl/ssl.h")
    if not header.exists():
        pytest.skip("libssl-dev is not installed")
    text = header.read_text()
    bits = {name: 1 << int(bit) for name, bit in re.findall(r"define SSL_OP_(\w+)\s+SSL_OP_BIT\((\d+)\)", text)}
    zero = re.findall(r"define SSL_OP_(\w+)\s+0x0\b", text)
    table = options._table(0x30000000)
    assert {name: table[name] for name in bits} | {name: table[name] for name in zero} == bits | dict.fromkeys(zero, 0)
    assert set(table) - set(bits) - set(zero) == {"ALL", "NO_SSL_MASK", "NO_DTLS_MASK"}


@pytest.mark.skipif(shutil.which("stunnel4") is None, reason="stunnel4 is not installed")
def test_every_name_of_stunnel_is_known() -> None:
    shown = subprocess.run(["stunnel4", "-options"], capture_output=True, text=True, check=False).stderr
    assert set(re.findall(r"^options = (\w+)$", shown, re.MULTILINE)) <= set(options.numbers())


def test_options_of_a_later_version_are_known_to_it_only() -> None:
    assert "PREFER_NO_DHE_KEX" not in options._table(0x30200000)
    assert options._table(0x30300000)["PREFER_NO_DHE_KEX"] == 1 << 35


def test_what_is_set_can_be_read_and_cleared_where_that_is_possible() -> None:
    context = SSL.Context(SSL.TLS_METHOD)
    own = options.get(context)
    assert options.become(context, own | SSL.OP_NO_TICKET)
    assert options.get(context) == own | SSL.OP_NO_TICKET
    assert options.become(context, own) is options.can_clear()
    assert options.get(context) == own | (0 if options.can_clear() else SSL.OP_NO_TICKET)
