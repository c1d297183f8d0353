"""`redirect`: who does not convince is connected elsewhere, at first and when its session is resumed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.certificates import Identity, Pki, Wish
from tests.support.servers import Server
from tests.support.tunnels import Tunnels
from tests.support.visits import backend, visit

ServerFactory = Callable[..., Server]
PortFactory = Callable[[], int]


def shows(identity: Identity | None) -> tuple[str, ...]:
    return () if identity is None else ("-cert", str(identity.cert), "-key", str(identity.key))


@pytest.fixture
def clients(pki: Pki) -> dict[str, Identity | None]:
    authority = pki.authority
    return {
        "alice": pki.client,
        "nobody": None,
        "mallory": pki.stranger_client,
        "expired": authority.issue(Wish(name="old", client=True, expired=True)),
        "revoked": authority.issue(Wish(name="revoked", client=True)),
    }


def server_lines(pki: Pki) -> str:
    return f"cert = {pki.server.cert}\nkey = {pki.server.key}\n"


@pytest.fixture
def door(
    tunnel: Tunnels,
    pki: Pki,
    clients: dict[str, Identity | None],
    server: ServerFactory,
    free_port: PortFactory,
    tmp_path: Path,
) -> Callable[[str], int]:
    """`door(lines)`: the port of a service with `redirect` that accepts whom the CA vouches for and no list names."""
    inside, outside = (server(backend(name)).endpoint for name in ("inside", "outside"))
    revoked = clients["revoked"]
    assert revoked is not None
    crl = tmp_path / "crl.pem"
    crl.write_bytes(pki.authority.revocations(revoked.certificate))

    def opened(lines: str) -> int:
        port = free_port()
        tunnel(
            f"[it]\naccept = 127.0.0.1:{port}\nconnect = {inside}\nredirect = {outside}\n{server_lines(pki)}"
            f"verifyChain = yes\nCAfile = {pki.ca}\nCRLfile = {crl}\n{lines}"
        )
        return port

    return opened


@pytest.mark.parametrize("lines", ["", "options = NO_TICKET\n"], ids=["ticket", "id"])
def test_who_does_not_convince_goes_elsewhere_each_time(
    door: Callable[[str], int], clients: dict[str, Identity | None], lines: str, tls_version: str, tmp_path: Path
) -> None:
    port = door(lines)
    only = f"-tls{tls_version.replace('.', '_')}"
    for who, identity in clients.items():
        session = tmp_path / f"{who}.session"
        expected = "inside" if who == "alice" else "outside"
        for turn in range(3):
            found = visit(port, only, *shows(identity), session=session)
            assert (who, turn, found.reached) == (who, turn, expected)


def test_a_session_goes_where_it_went_whoever_uses_it(
    gtunnel: Tunnels,
    pki: Pki,
    clients: dict[str, Identity | None],
    server: ServerFactory,
    free_port: PortFactory,
    tls_version: str,
    tmp_path: Path,
) -> None:
    inside, outside = (server(backend(name)).endpoint for name in ("inside", "outside"))
    port = free_port()
    running = gtunnel(
        f"workers = 2\n[it]\naccept = 127.0.0.1:{port}\nconnect = {inside}\nredirect = {outside}\n{server_lines(pki)}"
        f"verifyChain = yes\nCAfile = {pki.ca}\n"
    )
    only = f"-tls{tls_version.replace('.', '_')}"
    session = tmp_path / "mallory.session"
    assert visit(port, only, *shows(clients["mallory"]), session=session).reached == "outside"
    # A stranger's session, offered with a good certificate at hand: what counts is what was shown.
    found = visit(port, only, *shows(clients["alice"]), session=session)
    assert found.resumed
    assert found.reached == "outside"
    running.wait_for("Redirecting connection", times=2)


def test_targets_of_redirect_are_tried_in_turn(
    tunnel: Tunnels, pki: Pki, server: ServerFactory, free_port: PortFactory
) -> None:
    inside, outside = (server(backend(name)).endpoint for name in ("inside", "outside"))
    port = free_port()
    tunnel(
        f"[it]\naccept = 127.0.0.1:{port}\nconnect = {inside}\nredirect = 127.0.0.1:{free_port()}\n"
        f"redirect = {outside}\nfailover = prio\n{server_lines(pki)}verifyChain = yes\nCAfile = {pki.ca}\n"
    )
    for _ in range(2):
        assert visit(port).reached == "outside"
        assert visit(port, *shows(pki.client)).reached == "inside"


def test_a_name_s_service_redirects_too(
    tunnel: Tunnels, pki: Pki, server: ServerFactory, free_port: PortFactory, tls_version: str
) -> None:
    main, inside, outside = (server(backend(name)).endpoint for name in ("main", "inside", "outside"))
    port = free_port()
    tunnel(
        f"[main]\naccept = 127.0.0.1:{port}\nconnect = {main}\n{server_lines(pki)}"
        f"[guarded]\nsni = main:guarded.test\nconnect = {inside}\nredirect = {outside}\n{server_lines(pki)}"
        f"verifyChain = yes\nCAfile = {pki.ca}\n"
    )
    only = f"-tls{tls_version.replace('.', '_')}"
    assert visit(port, only, name="other.test").reached == "main"
    assert visit(port, only, name="guarded.test").reached == "outside"
    assert visit(port, only, *shows(pki.client), name="guarded.test").reached == "inside"


def test_verify_peer_redirects_who_is_not_the_one(
    tunnel: Tunnels, pki: Pki, server: ServerFactory, free_port: PortFactory, tls_version: str
) -> None:
    inside, outside = (server(backend(name)).endpoint for name in ("inside", "outside"))
    port = free_port()
    tunnel(
        f"[it]\naccept = 127.0.0.1:{port}\nconnect = {inside}\nredirect = {outside}\n{server_lines(pki)}"
        f"verifyPeer = yes\nCAfile = {pki.client.cert}\n"
    )
    only = f"-tls{tls_version.replace('.', '_')}"
    other = pki.authority.issue(Wish(name="bob", client=True))
    assert visit(port, only, *shows(pki.client)).reached == "inside"
    assert visit(port, only, *shows(other)).reached == "outside"
    assert visit(port, only).reached == "outside"


def test_who_knows_a_key_needs_no_certificate(
    gtunnel: Tunnels, pki: Pki, server: ServerFactory, free_port: PortFactory, tls_version: str, tmp_path: Path
) -> None:
    inside, outside = (server(backend(name)).endpoint for name in ("inside", "outside"))
    port, secret = free_port(), "12" * 32
    file = tmp_path / "psk"
    file.touch(mode=0o600)
    file.write_text(f"somebody:{secret}\n")
    gtunnel(
        f"[it]\naccept = 127.0.0.1:{port}\nconnect = {inside}\nredirect = {outside}\n{server_lines(pki)}"
        f"verifyChain = yes\nCAfile = {pki.ca}\nPSKsecrets = {file}\nciphers = HIGH:PSK\n"
    )
    only = f"-tls{tls_version.replace('.', '_')}"
    key: tuple[str, ...] = ("-psk_identity", "somebody", "-psk", secret)
    key += ("-cipher", "PSK") if tls_version == "1.2" else ("-ciphersuites", "TLS_AES_128_GCM_SHA256")
    for _ in range(2):
        assert visit(port, only, *key, session=tmp_path / "key").reached == "inside"
        assert visit(port, only, session=tmp_path / "nobody").reached == "outside"
        assert visit(port, only, *shows(pki.client), session=tmp_path / "alice").reached == "inside"
