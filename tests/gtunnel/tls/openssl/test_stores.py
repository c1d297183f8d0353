"""Revocation lists and directories in a context's store."""

from pathlib import Path

import pytest
from OpenSSL import SSL

from gtunnel.tls.openssl import native, stores
from tests.support.certificates import Pki


def context() -> SSL.Context:
    return SSL.Context(SSL.TLS_METHOD)


def test_lists_are_counted_and_nothing_else_is(pki: Pki) -> None:
    lists = pki.authority.revocations() + pki.ca.read_bytes() + pki.stranger.revocations(pki.client.certificate)
    assert stores.add_lists(context(), lists) == 2
    assert stores.add_lists(context(), pki.ca.read_bytes()) == 0
    assert stores.add_lists(context(), b"") == 0


def test_a_damaged_list_is_an_error_and_leaves_none_behind(pki: Pki) -> None:
    lines = pki.authority.revocations().splitlines(keepends=True)
    with pytest.raises(SSL.Error):
        stores.add_lists(context(), b"".join([lines[0], *lines[2:]]))
    assert stores.add_lists(context(), pki.authority.revocations()) == 1


def test_a_directory_is_taken_as_it_is(tmp_path: Path) -> None:
    stores.add_directory(context(), str(tmp_path))


def test_a_shared_openssl_loads_stores(pki: Pki) -> None:
    assert stores.can_load_stores() is native.SHARED
    if native.SHARED:
        stores.add_store(context(), f"file:{pki.ca}")
        with pytest.raises(SSL.Error):
            stores.add_store(context(), "nosuch:thing")
