"""What this machine's OpenSSL is and can do: for `-version`, `-options` and the log's first lines."""

import cryptography
import OpenSSL
from OpenSSL import SSL

from gtunnel.tls.errors import OpensslUnfitError
from gtunnel.tls.openssl import binding, options


def demand() -> None:
    """See that this OpenSSL can do what gtunnel cannot do without. Raises `OpensslUnfitError` with the way out."""
    if not binding.can_set_groups():
        raise OpensslUnfitError(
            library=f"{library_version()} in cryptography {cryptography.__version__}",
            reason="it is linked statically, and its bindings cannot choose the groups of the key exchange: "
            "install cryptography 47 or newer, or use the distribution's own python3-openssl (docs/debian.md)",
        )


def library_version() -> str:
    """Such as `OpenSSL 3.0.19 27 Jan 2026`."""
    return _text(SSL.OPENSSL_VERSION)


def built_with() -> str:
    """The bindings and the platform that OpenSSL was built for."""
    return f"pyOpenSSL {OpenSSL.__version__}, {_text(SSL.SSLEAY_PLATFORM)}"


def option_names() -> tuple[str, ...]:
    """The names that `options =` takes, sorted."""
    return tuple(options.numbers())


def _text(item: int) -> str:
    value = SSL.OpenSSL_version(item)
    return value.decode("ascii", "replace")
