"""What concerns the whole process' OpenSSL. What stays in a process is tried in one of its own."""

import subprocess
import sys

import pytest

from gtunnel.tls.openssl import library, native
from tests.support.tunnels import GTUNNEL_ENVIRONMENT

shared = pytest.mark.skipif(not native.SHARED, reason="this OpenSSL is linked statically into the bindings")


def run(code: str) -> str:
    """What a Python of its own prints."""
    argv = [sys.executable, "-c", f"from gtunnel.tls.openssl import library\n{code}"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env=GTUNNEL_ENVIRONMENT)
    return done.stdout.strip()


def test_randomness_is_added_on_any_build() -> None:
    library.add_randomness(b"")
    library.add_randomness(b"x" * 1024)


@shared
def test_a_provider_is_loaded_beside_the_default_one() -> None:
    code = "import hashlib\nprint(library.load_provider('legacy'), hashlib.sha256(b'').hexdigest()[:4])"
    assert run(code) == "None e3b0"


@shared
def test_a_provider_that_is_not_there_has_a_reason() -> None:
    assert "could not load the shared library" in run("print(library.load_provider('no-such'))")


MD4 = "import hashlib\nprint(reason, hashlib.sha256(b'').hexdigest()[:4], hashlib.new('md4', b'').hexdigest()[:4])"


@shared
@pytest.mark.parametrize("parameters", [{}, {"one": "two"}, {"odd": "a b $x #c \"'\\"}])
def test_a_provider_with_parameters_works_beside_the_default_one(parameters: dict[str, str]) -> None:
    code = f"reason = library.configure_provider('legacy', {parameters!r})\n{MD4}"
    # What only the legacy provider can do shows that it is there.
    assert run(code) == "None e3b0 31d6"


@shared
def test_a_provider_with_parameters_that_is_not_there_has_a_reason() -> None:
    assert "::" in run("print(library.configure_provider('no-such', {'one': 'two'}))")


def test_the_question_for_fips_changes_nothing() -> None:
    assert run("print(library.has_fips() == library.has_fips())") == "True"


@pytest.mark.skipif(library.has_fips() or not native.SHARED, reason="needs a shared OpenSSL without FIPS")
def test_fips_where_there_is_none_has_a_reason() -> None:
    assert run("print(bool(library.enter_fips()))") == "True"
