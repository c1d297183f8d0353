"""What this machine's OpenSSL is and can do: for `-version`, `-options` and the log's first lines."""

from typing import Final

import cryptography
import OpenSSL
from OpenSSL import SSL

from gtunnel.tls import commands
from gtunnel.tls.errors import OpensslUnfitError
from gtunnel.tls.keyshares import HYBRID
from gtunnel.tls.openssl import binding, library, native, options, sessions
from gtunnel.values import dataclass

# Those that a configuration is likely to name.
_GROUPS: Final = (HYBRID, "SecP256r1MLKEM768", "X25519", "P-256", "X448", "P-521", "P-384", "ffdhe2048")


def demand() -> None:
    """See that this OpenSSL can do what gtunnel cannot do without. Raises `OpensslUnfitError` with the way out."""
    if not binding.can_set_groups():
        raise OpensslUnfitError(
            library=f"{library_version()} in cryptography {cryptography.__version__}",
            reason="it is linked statically, and its bindings cannot choose the groups of the key exchange: "
            "install cryptography 47 or newer, or use the distribution's own python3-openssl (docs/debian.md)",
        )


@dataclass(frozen=True, slots=True)
class Feature:
    """Something that not every build of OpenSSL, or of its bindings, can do. `present` in part: `detail` says which."""

    name: str
    present: bool
    detail: str = ""

    @property
    def answer(self) -> str:
        """What there is of it."""
        return self.detail or ("yes" if self.present else "no")


def linkage() -> str:
    """Whose OpenSSL it is."""
    return "shared library" if native.SHARED else f"static, in cryptography {cryptography.__version__}"


def features() -> tuple[Feature, ...]:
    """What this machine's OpenSSL can do for gtunnel, found out by trying, or by whether the function can be called."""
    groups = [group for group in _GROUPS if binding.set_groups(SSL.Context(SSL.TLS_METHOD), group)]
    return (
        Feature("OpenSSL", True, f"{library_version()}, {linkage()}"),
        Feature("groups", True, " ".join(groups)),
        Feature("post-quantum key exchange", HYBRID in groups, HYBRID if HYBRID in groups else ""),
        Feature("clearing what OpenSSL sets itself (options = -NAME)", options.can_clear()),
        Feature("configuration commands (config)", native.SHARED, "" if native.SHARED else f"only {_emulated()}"),
        Feature("keys for session tickets (ticketKeySecret)", sessions.CAN_SET_TICKET_KEYS),
        Feature("sessions on other machines (sessiond)", sessions.CAN_OFFER),
        Feature("DHE", hasattr(SSL.Context, "load_tmp_dh")),
        Feature("stores of certificates other than files (CAstore)", native.has("X509_STORE_load_store")),
        Feature("engines", native.has("ENGINE_by_id")),
        Feature("providers", native.has("OSSL_PROVIDER_load")),
        Feature("FIPS", library.has_fips()),
        Feature("compression", False, "no, it gives secrets away"),
    )


def summary() -> str:
    """The same in a line: which OpenSSL it is, and what it has not got."""
    absent = ", ".join(feature.name for feature in features() if not feature.present and not feature.detail)
    return f"{library_version()}, {linkage()}" + (f"; without {absent}" if absent else "")


def _emulated() -> str:
    return ", ".join(commands.EMULATED_NAMES)


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
