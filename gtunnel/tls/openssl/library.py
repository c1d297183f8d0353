"""What concerns the OpenSSL of the whole process: randomness, providers, FIPS."""

from ctypes import c_char_p, c_int, c_void_p
from typing import Final

from OpenSSL._util import lib

from gtunnel.tls.openssl import binding, native

_FIPS: Final = "fips"


def add_randomness(data: bytes) -> None:
    """Mix bytes into OpenSSL's generator (RAND_add), on any build. They count for nothing: it has the kernel's."""
    lib.RAND_add(data, len(data), 0.0)


def load_provider(name: str) -> str | None:
    """Load a provider for good (OSSL_PROVIDER_load). Returns why it failed, None if it did not."""
    load = native.demand("OSSL_PROVIDER_try_load", c_void_p, c_void_p, c_char_p, c_int)
    # With fallbacks retained: the default provider goes on doing what it does.
    if load(None, name.encode(), 1):
        return None
    queue = binding.take_errors()
    return queue[0] if queue else "OpenSSL does not say why"


def has_fips() -> bool:
    """Whether this OpenSSL has a FIPS provider. It is loaded for the moment of the question."""
    if not native.has("OSSL_PROVIDER_try_load"):
        return False
    provider = native.demand("OSSL_PROVIDER_try_load", c_void_p, c_void_p, c_char_p, c_int)(None, _FIPS.encode(), 1)
    if not provider:
        binding.take_errors()
        return False
    native.demand("OSSL_PROVIDER_unload", c_int, c_void_p)(provider)
    return True


def enter_fips() -> str | None:
    """Let OpenSSL do nothing but what is validated. Returns why that cannot be, None if it is so from now on."""
    reason = load_provider(_FIPS)
    if reason is None:
        enable = native.demand("EVP_default_properties_enable_fips", c_int, c_void_p, c_int)
        reason = None if enable(None, 1) == 1 else "OpenSSL does not switch to it"
    return reason
