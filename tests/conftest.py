"""Fixtures that any test may ask for. What they hand out ends, or is removed, with the test."""

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import hypothesis
import pytest

from gtunnel.tls import features
from gtunnel.tls.openssl import native
from netsetup.lab import Lab
from tests.support import needs, ports, servers
from tests.support.certificates import Pki
from tests.support.daemon import Daemon
from tests.support.tunnels import Tunnels

# A busy machine takes longer for an example than a quiet one, which says nothing of what is tested.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

KINDS = ("gtunnel", "stunnel4")
_labs = itertools.count(1)
_failed = pytest.StashKey[bool]()


def pytest_report_header() -> str:
    """Which packages are tested: `make test` runs with PyPI's and with the distribution's."""
    how = "shared" if native.SHARED else "static"
    return f"gtunnel on {features.library_version()} ({how}), {features.built_with()}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need root are skipped for others, and say so."""
    if not needs.is_root():
        for item in items:
            if "root" in item.keywords or "lab" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.skip(reason="needs root and network namespaces"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Tell fixtures whether their test has failed, so that they do not hide why behind complaints of their own."""
    report: pytest.TestReport = yield  # type: ignore[assignment]
    if report.failed:
        item.stash[_failed] = True
    return report  # type: ignore[return-value]


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """A small CA and the certificates that most tests want."""
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def free_port() -> Callable[[], int]:
    """`free_port()`: a TCP port that nobody uses, another one at each call."""
    return ports.free_port


@pytest.fixture
def server() -> Iterator[Callable[..., servers.Server]]:
    """`server(handler, host="127.0.0.1", port=0)`: a server in threads; see `tests.support.servers` for handlers."""
    with ExitStack() as stack:
        yield lambda *args, **kwargs: stack.enter_context(servers.Server(*args, **kwargs))


@pytest.fixture
def echo(server: Callable[..., servers.Server]) -> servers.Server:
    """A TCP echo server on 127.0.0.1."""
    return server(servers.echo)


@pytest.fixture
def daemon(request: pytest.FixtureRequest) -> Iterator[Callable[..., Daemon]]:
    """`daemon(argv, …)`: a program beside the test, as `Daemon`."""
    running: list[Daemon] = []

    def start(*args: object, **kwargs: object) -> Daemon:
        running.append(Daemon(*args, **kwargs))  # type: ignore[arg-type]
        return running[-1]

    yield start
    for program in reversed(running):
        program.kill() if request.node.stash.get(_failed, False) else program.stop()


def _tunnels(kind: str, request: pytest.FixtureRequest, directory: Path) -> Iterator[Tunnels]:
    tunnels = Tunnels(kind, directory)
    yield tunnels
    failed = request.node.stash.get(_failed, False)
    if failed:
        print(tunnels.outputs)
    tunnels.close(failed=failed)


@pytest.fixture
def gtunnel(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tunnels]:
    """`gtunnel(conf)`: a running gtunnel that accepts connections; see `tests.support.tunnels.Tunnels`."""
    yield from _tunnels("gtunnel", request, tmp_path)


@pytest.fixture
def stunnel4(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tunnels]:
    """The same with Debian's stunnel4."""
    needs.program("stunnel4")
    yield from _tunnels("stunnel4", request, tmp_path)


@pytest.fixture(params=KINDS)
def tunnel(request: pytest.FixtureRequest) -> Tunnels:
    """The test runs twice: with gtunnel, and with stunnel4."""
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


@pytest.fixture(params=[("gtunnel", "gtunnel"), ("gtunnel", "stunnel4"), ("stunnel4", "gtunnel")], ids="->".join)
def tunnel_pair(request: pytest.FixtureRequest) -> tuple[Tunnels, Tunnels]:
    """(client, server): gtunnel with itself, and each way with stunnel4."""
    client, server = request.param
    return request.getfixturevalue(client), request.getfixturevalue(server)


@pytest.fixture(params=["1.2", "1.3"], ids="TLSv{}".format)
def tls_version(request: pytest.FixtureRequest) -> str:
    """The test runs in TLS 1.2 and in TLS 1.3: "1.2" and "1.3", as `tests.support.tls` takes them."""
    return str(request.param)


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A lab of this test's own, up: client, gateway, server in namespaces. Root only."""
    with Lab(f"test-{os.getpid()}-{next(_labs)}") as ours:
        yield ours


@pytest.fixture
def in_lab(lab: Lab, daemon: Callable[..., Daemon]) -> Callable[..., Daemon]:
    """`in_lab(host, argv, …)`: a program beside the test on a host of the `lab`, as `Daemon`."""

    def start(host: str, argv: list[str], **options: object) -> Daemon:
        return daemon(argv, launch=partial(lab.popen, host), **options)

    return start
