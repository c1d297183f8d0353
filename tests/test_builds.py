"""Which OpenSSL the tests run on: make pytest-debian has to mean the distribution's packages and nothing else."""

import importlib
import os
from pathlib import Path

import pytest

from gtunnel.tls.openssl import native

# What Debian calls the directory of its Python packages.
DISTRIBUTION = "/usr/lib/python3/dist-packages"
on_debian = pytest.mark.skipif(os.environ.get("GTUNNEL_BUILD") != "debian", reason="make pytest-debian runs it")


@on_debian
@pytest.mark.parametrize("module", ["OpenSSL", "cryptography", "cffi", "gevent", "greenlet", "pyroute2", "iptc"])
def test_the_distribution_s_packages_are_what_is_tested(module: str) -> None:
    try:
        file = importlib.import_module(module).__file__
    except ModuleNotFoundError:
        # Debian's cryptography needs only the compiled half of cffi; iptables may be another distribution's.
        assert module in {"cffi", "iptc"}
        return
    assert str(file).startswith(DISTRIBUTION)


@on_debian
def test_the_distribution_s_openssl_is_shared() -> None:
    assert native.SHARED
    assert "libssl.so" in Path("/proc/self/maps").read_text()


def test_the_header_of_a_run_names_the_build(request: pytest.FixtureRequest) -> None:
    lines = request.config.hook.pytest_report_header(config=request.config, start_path=Path.cwd())
    kind = "(shared)" if native.SHARED else "(static)"
    assert any(kind in str(line) for line in lines)
