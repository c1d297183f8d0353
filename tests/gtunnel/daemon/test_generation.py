"""A generation: built whole beside the old one, or not at all."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gtunnel.daemon import generation as generations
from gtunnel.daemon.generation import Generation, GenerationError
from gtunnel.daemon.log import Journal
from gtunnel.events import Level
from gtunnel.net.loops import LoopGuard
from tests.gtunnel.daemon.crewing import run
from tests.gtunnel.logs import ListLog
from tests.gtunnel.settings import configuration
from tests.support.certificates import Pki

PortFactory = Callable[[], int]


class Builder:
    """Builds generations one after another; closes what is left of them."""

    def __init__(self) -> None:
        self.log = ListLog()
        self._built: list[Generation] = []

    def __call__(self, text: str, old: Generation | None = None) -> Generation:
        settings = configuration(text)
        services = generations.compile_services(settings, LoopGuard(), Journal(()), self.log)
        self._built.append(generations.bind(settings, services, old, self.log))
        return self._built[-1]

    def fails(self, text: str, old: Generation | None = None) -> list[str]:
        """Build what cannot be built; returns the problems logged."""
        self.log.lines.clear()
        with pytest.raises(GenerationError):
            self(text, old)
        return [text for level, text in self.log.lines if level <= Level.ERR]

    def close(self) -> None:
        """Close all sockets."""
        for generation in self._built:
            generation.close_all_but(())


@pytest.fixture
def build() -> Iterator[Builder]:
    """`build(text, old)`: a generation, or `build.fails(text, old)`."""
    builder = Builder()
    yield builder
    builder.close()


def service(name: str, *accept: object, lines: str = "") -> str:
    """A client service."""
    accepts = "".join(f"accept = {endpoint}\n" for endpoint in accept)
    return f"[{name}]\nclient = yes\n{accepts}connect = 127.0.0.1:9\n{lines}"


def served(endpoint: str | Path) -> bool:
    """Whether somebody listens there."""
    family = socket.AF_UNIX if isinstance(endpoint, Path) else socket.AF_INET
    with socket.socket(family) as probe:
        address = str(endpoint) if isinstance(endpoint, Path) else ("127.0.0.1", int(endpoint.rpartition(":")[2]))
        return probe.connect_ex(address) == 0


def test_every_accept_line_is_bound_and_said(build: Builder, free_port: PortFactory, tmp_path: Path) -> None:
    one, two, path = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}", tmp_path / "sock"
    generation = build(service("a", one, path) + service("b", two))
    assert [(binding.service.name, str(binding.listening.address)) for binding in generation.bindings] == [
        ("a", one),
        ("a", str(path)),
        ("b", two),
    ]
    number = generation.listening[0].sock.fileno()
    assert f"Service [a] (FD={number}) bound to {one}" in build.log.texts
    assert served(one)
    assert served(path)


def test_what_cannot_be_bound_is_named_and_nothing_stays_bound(
    build: Builder, free_port: PortFactory, tmp_path: Path
) -> None:
    free, path = f"127.0.0.1:{free_port()}", tmp_path / "sock"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = f"127.0.0.1:{taken.getsockname()[1]}"
        problems = build.fails(service("a", free, path) + service("b", busy) + service("c", tmp_path / "no" / "sock"))
    assert problems == [
        f"Binding service [b] failed: bind: {busy}: Address already in use (98)",
        f"Binding service [c] failed: bind: {tmp_path}/no/sock: No such file or directory (2)",
    ]
    assert not served(free)
    assert not path.exists()


def test_all_services_that_cannot_be_compiled_are_named_with_their_places(build: Builder, tmp_path: Path) -> None:
    lines = f"cert = {tmp_path}/none.pem\n"
    problems = build.fails(
        service("a", "127.0.0.1:1", lines=lines)
        + service("good", "127.0.0.1:2")
        + service("b", "127.0.0.1:3", lines=lines)
    )
    text = f"cert = {tmp_path}/none.pem"
    assert problems == [
        f'test.conf:8: "{text}": Service [a]: No such file or directory',
        f'test.conf:17: "{text}": Service [b]: No such file or directory',
        "Configuration failed",
    ]


def test_a_local_address_that_has_none_is_a_problem_of_its_service(build: Builder) -> None:
    problems = build.fails(service("a", "127.0.0.1:1", lines="local = no-such-host.invalid\n"))
    assert len(problems) == 2
    line = 'test.conf:8: "local = no-such-host.invalid": Service [a]: '
    assert problems[0].startswith(f"{line}Error resolving 'no-such-host.invalid': ")


def test_a_reload_keeps_the_sockets_that_stay_and_closes_the_others(
    build: Builder, free_port: PortFactory, tmp_path: Path
) -> None:
    stays, goes, comes = (f"127.0.0.1:{free_port()}" for _ in range(3))
    path, old_path = tmp_path / "stays", tmp_path / "goes"
    old = build(service("a", stays, path) + service("b", goes, old_path))
    with socket.create_connection(("127.0.0.1", int(stays.rpartition(":")[2]))) as waiting:
        new = build(service("other", stays, path) + service("c", comes), old)
        assert new.listening[0].sock is old.listening[0].sock
        assert new.bindings[0].service.name == "other"
        old.close_all_but(new.listening)
        assert [served(endpoint) for endpoint in (stays, goes, comes, path, old_path)] == [
            True,
            False,
            True,
            True,
            False,
        ]
        assert not old_path.exists()
        # Who waited to be accepted still does.
        accepted, peer = new.listening[0].sock.accept()
        accepted.close()
        assert peer == waiting.getsockname()


def test_a_reload_that_cannot_bind_leaves_the_old_generation_as_it_was(
    build: Builder, free_port: PortFactory, tmp_path: Path
) -> None:
    stays, comes, path = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}", tmp_path / "sock"
    old = build(service("a", stays, path))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = f"127.0.0.1:{taken.getsockname()[1]}"
        build.fails(service("a", stays, path) + service("b", comes) + service("c", port), old)
    assert served(stays)
    assert served(path)
    assert not served(comes)


def test_a_service_runs_on_what_it_could_bind(build: Builder, free_port: PortFactory) -> None:
    port = f"127.0.0.1:{free_port()}"
    generation = build(service("a", port, "192.0.2.1:1", "no-such-host.invalid:1"))
    assert len(generation.listening) == 1
    assert served(port)


@pytest.mark.parametrize(
    ("one", "other"),
    [("127.0.0.1", "0.0.0.0"), ("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("::1", "::"), ("::", "127.0.0.1")],
)
def test_a_port_moves_between_a_wildcard_and_one_of_its_addresses(
    build: Builder, free_port: PortFactory, one: str, other: str
) -> None:
    port = free_port()
    old = build(service("a", f"{one}:{port}"))
    new = build(service("a", f"{other}:{port}"), old)
    for listening in (*old.listening, *new.listening):
        assert listening.sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 0
    old.close_all_but(new.listening)
    socket.create_connection(("::1" if ":" in other else "127.0.0.1", port), timeout=10).close()


def test_a_port_that_others_have_is_not_taken_from_them(build: Builder, free_port: PortFactory) -> None:
    port = free_port()
    old = build(service("a", f"127.0.0.2:{port}"))
    with socket.create_server(("127.0.0.1", port)):
        (reason,) = build.fails(service("a", f"0.0.0.0:{port}"), old)
    assert reason.endswith("the running configuration has that port, restart to move it")
    assert old.listening[0].sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 0


def test_a_socket_that_stays_gets_the_options_of_its_new_service(build: Builder, free_port: PortFactory) -> None:
    port = f"127.0.0.1:{free_port()}"
    old = build(service("a", port))
    assert old.listening[0].sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0
    new = build(service("a", port, lines="socket = a:SO_KEEPALIVE=1\n"), old)
    assert new.listening[0].sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


def test_a_stale_unix_socket_is_replaced_and_a_live_one_is_not(build: Builder, tmp_path: Path) -> None:
    stale, live = tmp_path / "stale", tmp_path / "live"
    with socket.socket(socket.AF_UNIX) as crashed, socket.socket(socket.AF_UNIX) as other:
        crashed.bind(str(stale))
        other.bind(str(live))
        other.listen()
        crashed.close()
        build(service("a", stale))
        assert build.fails(service("b", live)) == [
            f"Binding service [b] failed: bind: {live}: Address already in use (98)"
        ]
        assert served(live)
    assert served(stale)


@pytest.mark.root
def test_transparent_source_needs_to_stay_root(build: Builder, pki: Pki) -> None:
    text = f"[gate]\ncert = {pki.server.pem}\naccept = 127.0.0.1:0\nconnect = 127.0.0.1:9\ntransparent = source\n"
    assert build.fails(f"setuid = nobody\n{text}")[0].endswith(
        "Service [gate]: transparent = source needs root, so setuid must not be set"
    )
    assert build(f"setuid = root\n{text}").bindings
    destination = text.replace("source", "destination").replace("connect = 127.0.0.1:9\n", "")
    assert build(f"setuid = nobody\n{destination}").bindings
    captured = f"{destination}capture = 80\ncaptureMethod = redirect\n".replace("127.0.0.1:0", "127.0.0.1:19")
    assert build(f"setuid = nobody\n{captured}").bindings
    assert build.fails(f"setuid = nobody\n{captured}captureLocal = yes\n")[0].endswith(
        "Service [gate]: captureLocal = yes needs root, so setuid must not be set"
    )


def test_transparent_source_without_rights_is_refused() -> None:
    result, log = run("""
        if os.getuid() == 0:
            os.setresuid(65534, 65534, 65534)
        from gtunnel.daemon.generation import GenerationError
        try:
            make('''[gate]\\nclient = yes\\naccept = 127.0.0.1:0\\nconnect = 1\\ntransparent = source''')
        except GenerationError as error:
            say(str(error))
    """)
    assert result == "Configuration failed"
    assert "transparent = source needs root (CAP_NET_ADMIN or CAP_NET_RAW)" in log
