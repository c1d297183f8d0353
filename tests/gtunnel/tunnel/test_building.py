"""Compiling services."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from gtunnel.conf.options_tls import DEFAULT_CIPHERSUITES
from gtunnel.conf.settings import ServiceSettings
from gtunnel.events import Level, SilentLog
from gtunnel.net import kerneltls
from gtunnel.net.loops import LoopGuard
from gtunnel.net.transparency import KeepDestination, Opaque
from gtunnel.tls.site import Site
from gtunnel.tunnel.building import Building, compile_service
from gtunnel.tunnel.service import Service, ServiceError
from gtunnel.wire.steps import Connect, Scene, StartTls
from tests.gtunnel.logs import ListLog
from tests.gtunnel.settings import configuration, service
from tests.support.certificates import Pki


def compiled(settings: ServiceSettings) -> Service:
    return compile_service(settings, None, LoopGuard(), SilentLog())


def problems(text: str) -> list[str]:
    """What is wrong with a service."""
    with pytest.raises(ServiceError) as caught:
        compiled(service(text))
    assert str(caught.value).splitlines() == [str(problem) for problem in caught.value.problems]
    return [str(problem) for problem in caught.value.problems]


def test_a_server_shakes_hands_before_anybody_is_connected(pki: Pki) -> None:
    server = compiled(service(f"accept = 1\nconnect = 2\ncert = {pki.server.pem}"))
    assert list(server.negotiate(Scene())) == [StartTls(), Connect()]


def test_a_client_connects_and_then_shakes_hands() -> None:
    client = compiled(service("client = yes\naccept = 1\nconnect = 2"))
    assert list(client.negotiate(Scene())) == [Connect(), StartTls()]


@pytest.mark.parametrize("why", ["", "this kernel has no TLS"])
def test_the_kernels_tls_is_used_where_it_is_and_warned_of_where_not(
    why: str, pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kerneltls, "refusal", lambda: why)
    settings = service(f"accept = 1\nconnect = 2\ncert = {pki.server.pem}\noptions = ENABLE_KTLS")
    log = ListLog()
    built = compile_service(settings, None, LoopGuard(), SilentLog(), Building(log))
    assert built.tls.kernel is not bool(why)
    told = "test.conf:4: Service [test]: options = ENABLE_KTLS: this kernel has no TLS: TLS stays in user space"
    assert log.lines == ([(Level.WARNING, told)] if why else [])


def test_the_kernel_is_not_asked_for_what_nobody_wants(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kerneltls, "refusal", lambda: pytest.fail("it was asked"))
    lines = f"accept = 1\nconnect = 2\ncert = {pki.server.pem}"
    assert not compiled(service(lines)).tls.kernel
    assert not compiled(service(f"{lines}\noptions = ENABLE_KTLS\noptions = -ENABLE_KTLS")).tls.kernel


def test_transparency_decides_strategy_and_loop_guard() -> None:
    opaque = compiled(service("client = yes\naccept = 1\nconnect = 2"))
    assert isinstance(opaque.transparency, Opaque)
    assert opaque.outgoing.loops is None
    keeping = compiled(service("client = yes\naccept = 1\ntransparent = destination"))
    assert isinstance(keeping.transparency, KeepDestination)
    assert keeping.outgoing.loops is keeping.transparency.loops


def test_the_mark_is_set_where_netsetup_looks_at_it() -> None:
    conf = configuration("netMark = 0x10/0xf0\n[x]\nclient = yes\naccept = 1\nconnect = 2")
    marked = compile_service(conf.services[0], conf.net, LoopGuard(), SilentLog())
    assert marked.outgoing.mark == 0x20
    assert compiled(conf.services[0]).outgoing.mark == 0


def test_local_may_be_a_name() -> None:
    assert compiled(service("client = yes\naccept = 1\nconnect = 2\nlocal = localhost")).outgoing.local == "127.0.0.1"


def test_a_problem_names_the_place_the_service_and_the_file(tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    assert problems(f"accept = 1\nconnect = 2\ncert = {missing}") == [
        f'test.conf:7: "cert = {missing}": Service [test]: No such file or directory'
    ]


def test_all_problems_of_a_service_are_told_each_at_its_line() -> None:
    found = problems(
        "client = yes\naccept = 1\nconnect = 2\ncert = /no/cert\nkey = /no/key\nlocal = no-such-host.invalid\n"
        "CAfile = /no/ca ; ours\nverifyChain = yes\n"
    )
    assert found[:3] == [
        'test.conf:8: "cert = /no/cert": Service [test]: No such file or directory',
        'test.conf:9: "key = /no/key": Service [test]: No such file or directory',
        'test.conf:11: "CAfile = /no/ca ; ours": Service [test]: No such file or directory'
        " (a comment needs a line of its own)",
    ]
    assert found[3].startswith('test.conf:10: "local = no-such-host.invalid": Service [test]: Error resolving')


def test_a_default_that_does_not_work_is_shown_at_the_section(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise SSL.Error([("SSL routines", "", "no cipher match")])

    monkeypatch.setattr("gtunnel.tls.openssl.binding.set_ciphersuites", refuse)
    (text,) = problems("client = yes\naccept = 1\nconnect = 2")
    reason = f"ciphersuites = {DEFAULT_CIPHERSUITES}: SSL routines::no cipher match"
    assert text == f"test.conf:4: Service [test]: {reason}"


def test_an_error_of_one_thing_is_its_own_problem() -> None:
    error = ServiceError(place="f:1", service="x", reason="why")
    assert [str(problem) for problem in error.problems] == ["f:1: Service [x]: why"]


def test_an_unknown_local_name_is_a_problem_of_the_service() -> None:
    with pytest.raises(ServiceError, match=r"no-such-host\.invalid"):
        compiled(service("client = yes\naccept = 1\nconnect = 2\nlocal = no-such-host.invalid"))


@pytest.mark.parametrize(
    ("lines", "place"),
    [
        ("connect = no-such-host.invalid:1", 'test.conf:7: "connect = no-such-host.invalid:1"'),
        ("connect = 1\nconnect = no-such-host.invalid:1", "test.conf:4"),
    ],
)
def test_a_target_that_is_looked_up_later_is_told_with_its_place(lines: str, place: str) -> None:
    log = ListLog()
    compile_service(service(f"client = yes\naccept = 1\n{lines}"), None, LoopGuard(), SilentLog(), Building(log))
    (text,) = log.texts
    assert text.startswith(f"{place}: Service [test]: Error resolving 'no-such-host.invalid': ")


def test_a_certificate_whose_issuer_nobody_knows_is_not_stapled_and_that_is_told(pki: Pki, tmp_path: Path) -> None:
    alone = tmp_path / "alone.pem"
    alone.write_bytes(pki.server.certificate.public_bytes(Encoding.PEM) + pki.server.key.read_bytes())
    log = ListLog()
    settings = service(f"accept = 1\nconnect = 2\ncert = {alone}\nOCSP = http://127.0.0.1:1/")
    compile_service(settings, None, LoopGuard(), SilentLog(), Building(log))
    (text,) = log.texts
    assert text.startswith("test.conf:4: Service [test]: OCSP: nothing is stapled: ")


PROGRAM = "client = yes\naccept = 1\nexec = /bin/cat\ntransparent = source\n"


def test_programs_cannot_be_told_who_the_client_is_without_a_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gtunnel.net.preload.library", lambda: None)
    (problem,) = problems(PROGRAM)
    assert problem.startswith("test.conf:8: ")
    assert "with exec this needs gtunnel's library for programs, which was not built" in problem


def test_the_library_has_to_be_inside_of_the_chroot_as_well(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    library = tmp_path / "peername.so"
    library.touch()
    monkeypatch.setattr("gtunnel.net.preload.library", lambda: library)
    jail = tmp_path / "jail"
    jail.mkdir()
    building = Building(SilentLog(), Site(chroot=str(jail)))
    with pytest.raises(ServiceError, match="inside of the chroot as well"):
        compile_service(service(PROGRAM), None, LoopGuard(), SilentLog(), building)
    assert compiled(service(PROGRAM)).launch is not None


def test_a_library_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gtunnel.net.libwrap.load", lambda: None)
    (problem,) = problems("client = yes\naccept = 1\nconnect = 2\nlibwrap = yes\n")
    assert "the library libwrap (Debian's package libwrap0) is not installed" in problem
