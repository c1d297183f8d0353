"""A service, as its connections see it."""

from gtunnel.address import HostPort
from gtunnel.events import SilentLog
from gtunnel.net.loops import LoopGuard
from gtunnel.tunnel.building import compile_service
from gtunnel.tunnel.service import Service, with_virtual_services
from tests.gtunnel.settings import configuration, service
from tests.support.certificates import Pki


def compiled(text: str) -> Service:
    return compile_service(service(text), None, LoopGuard(), SilentLog())


def test_every_accept_line_is_a_listener() -> None:
    specs = compiled("client = yes\naccept = 1\naccept = ::1:2\nconnect = 3").listener_specs()
    assert [spec.endpoint for spec in specs] == [HostPort("", 1), HostPort("::1", 2)]


def test_a_unix_socket_may_have_an_owner_of_its_own() -> None:
    (spec,) = compiled("client = yes\naccept = /run/x\nconnect = 3\nsetuid = root\n").listener_specs()
    assert spec.owner == (0, -1)


def test_what_connections_need_not_ask_is_known_beforehand(pki: Pki) -> None:
    client, server = "client = yes\naccept = 1\nconnect = 2\n", f"cert = {pki.server.pem}\naccept = 1\nconnect = 2\n"
    verifying = f"verifyChain = yes\nCAfile = {pki.ca}\n"

    def known(text: str) -> tuple[bool, bool, bool, bool]:
        made = compiled(text)
        return made.selective, made.fronted, made.inquires, made.tells_tls

    assert known(client) == known(server) == (False, False, False, False)
    for limit in ("ident = joe\n", "maxConnections = 1\n", "maxConnectionsPerIP = 1\n"):
        assert known(client + limit) == (True, False, False, False)
    assert known(client + "acceptProxy = 127.0.0.0/8\n") == (False, True, False, False)
    # A server looks at the end of a resumed session's certificate, a client at what is stapled.
    assert known(server + verifying) == known(client + verifying) == (False, False, True, False)
    assert known(server + "protocol = proxy\nproxyVersion = 2\n") == (False, False, False, True)


def test_names_of_one_service_may_be_served_by_others(pki: Pki) -> None:
    text = (
        f"cert = {pki.server.pem}\n[a]\naccept = 1\nconnect = 2\n"
        "[b]\nsni = a:*.example.org\nconnect = 3\n[c]\nsni = a:x.example.net\nconnect = 4\n"
    )
    compiling = (
        compile_service(settings, None, LoopGuard(), SilentLog()) for settings in configuration(text).services
    )
    primary, second, third = with_virtual_services(compiling)
    assert primary.for_name("y.example.org") is not None
    assert primary.for_name("y.example.org").name == second.name  # type: ignore[union-attr]
    assert primary.for_name("x.example.net").name == third.name  # type: ignore[union-attr]
    assert primary.for_name("example.com") is None
    assert primary.for_name(None) is None
