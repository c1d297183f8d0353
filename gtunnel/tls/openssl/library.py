"""What concerns the OpenSSL of the whole process: randomness, providers, FIPS."""

from ctypes import c_char_p, c_int, c_ulong, c_void_p
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


def configure_provider(name: str, parameters: dict[str, str]) -> str | None:
    """Load a provider with parameters of its own, which OpenSSL takes from a configuration only (config(5ssl)).

    Returns why it failed, None if it did not.
    """
    lines = "".join(f"{parameter} = {_quoted(value)}\n" for parameter, value in parameters.items())
    # What a configuration does not name is not loaded by itself any more.
    text = (
        "openssl_conf = ours\n[ours]\nproviders = all\n"
        f"[all]\ndefault = kept\n{name} = wanted\n[kept]\nactivate = 1\n[wanted]\nactivate = 1\n{lines}"
    ).encode()
    bio = native.demand("BIO_new_mem_buf", c_void_p, c_char_p, c_int)(text, len(text))
    read = native.demand("NCONF_new", c_void_p, c_void_p)(None)
    try:
        native.demand("OPENSSL_load_builtin_modules", None)()
        loaded = native.demand("NCONF_load_bio", c_int, c_void_p, c_void_p, c_void_p)(read, bio, None) == 1
        modules = native.demand("CONF_modules_load", c_int, c_void_p, c_char_p, c_ulong)
        # A provider that cannot be loaded is no error of the configuration's.
        available = native.demand("OSSL_PROVIDER_available", c_int, c_void_p, c_char_p)
        done = loaded and modules(read, None, 0) == 1 and available(None, name.encode()) == 1
    finally:
        native.demand("NCONF_free", None, c_void_p)(read)
        native.demand("BIO_free", c_int, c_void_p)(bio)
    queue = binding.take_errors()
    if done:
        return None
    # Loading it without them says what is wrong, unless it is the parameters.
    return queue[0] if queue else load_provider(name) or "it does not take its parameters"


def _quoted(value: str) -> str:
    # config(5ssl): what would be a comment, a variable or a quotation mark is none behind a backslash.
    return "".join(f"\\{letter}" if letter in "\\\"'`#$;" else letter for letter in value)


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
