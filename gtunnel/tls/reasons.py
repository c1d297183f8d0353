"""Why a certificate does not convince, for somebody who has to do something about it: what OpenSSL's reason leaves out.

What stands in a certificate was written by a stranger: it is shortened, and shown as what it is.
"""

import datetime
import re
from collections.abc import Callable, Iterator
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL.crypto import X509

from gtunnel.conf.settings import VerificationSettings
from gtunnel.tls.openssl import binding

# Of a certificate for hundreds of names, the first ones tell enough.
MAX_NAMES: Final = 8
_MAX_LENGTH: Final = 100

_PURPOSES: Final = {
    ExtendedKeyUsageOID.SERVER_AUTH: "servers",
    ExtendedKeyUsageOID.CLIENT_AUTH: "clients",
    ExtendedKeyUsageOID.CODE_SIGNING: "signing code",
    ExtendedKeyUsageOID.EMAIL_PROTECTION: "email",
    ExtendedKeyUsageOID.TIME_STAMPING: "time stamps",
    ExtendedKeyUsageOID.OCSP_SIGNING: "signing OCSP answers",
}
# What cryptography raises for certificates that OpenSSL reads, and it does not.
_UNREADABLE: Final = (ValueError, x509.DuplicateExtension, x509.InvalidVersion, x509.UnsupportedGeneralNameType)
_SPECIAL: Final = re.compile(r'[,+"\\<>;]')


def explanation(certificate: X509, error: int, now: datetime.datetime | None = None) -> str:
    """What to add to OpenSSL's text for an error of verification; "" if there is nothing to add. Times are UTC."""
    explain = _EXPLANATIONS.get(error)
    return "" if explain is None else explain(certificate, now or datetime.datetime.now(datetime.UTC))


def mismatch(certificate: X509, settings: VerificationSettings) -> str:
    """Which names a certificate has, and which were wanted."""
    wanted = ", ".join([*settings.hosts, *settings.ips, *settings.emails])
    return f"it is for {_names(certificate)}; wanted: {wanted}"


def name_text(name: list[tuple[str, str]]) -> str:
    """A name as stunnel's log shows it: `CN=other, O=Org, C=PL`, in the certificate's own order.

    What would make one value look like two is escaped (RFC 2253, section 2.4).
    """
    return ", ".join(f"{kind}={_SPECIAL.sub(_escaped, value)}" for kind, value in name)


def _escaped(found: re.Match[str]) -> str:
    return f"\\{found[0]}"


def _time(asn1: bytes | None) -> datetime.datetime | None:
    # A certificate that OpenSSL reads may still have a time that is none (RFC 5280, section 4.1.2.5.2).
    try:
        return datetime.datetime.strptime((asn1 or b"").decode(), "%Y%m%d%H%M%S%z")
    except ValueError:
        return None


def _shown(time: datetime.datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"


def _span(span: datetime.timedelta) -> str:
    """A span in the largest unit that it has two of, or in seconds."""
    seconds = max(0, int(span.total_seconds()))
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} second{'s' * (seconds != 1)}"


def _expired(certificate: X509, now: datetime.datetime) -> str:
    end = _time(certificate.get_notAfter())
    return "" if end is None else f"{_span(now - end)} ago, {_shown(end)}"


def _not_yet_valid(certificate: X509, now: datetime.datetime) -> str:
    start = _time(certificate.get_notBefore())
    return "" if start is None else f"in {_span(start - now)}, {_shown(start)}; is the clock right?"


def _without_issuer(certificate: X509, _: datetime.datetime) -> str:
    return f"its issuer is neither trusted nor sent along: {name_text(binding.issuer(certificate))}"


def _self_signed(certificate: X509, _: datetime.datetime) -> str:
    return f"it is not among the trusted ones: {name_text(binding.subject(certificate))}"


def _without_list(certificate: X509, _: datetime.datetime) -> str:
    return f"there is no list of {name_text(binding.issuer(certificate))}"


def _of_list(certificate: X509, _: datetime.datetime) -> str:
    return f"the list of {name_text(binding.issuer(certificate))}"


def _revoked(certificate: X509, _: datetime.datetime) -> str:
    return f"serial number {certificate.get_serial_number():X}"


def _purposes(certificate: X509, _: datetime.datetime) -> str:
    try:
        extensions = certificate.to_cryptography().extensions
        usages = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, *_UNREADABLE):
        return ""
    return f"it is for {', '.join(_PURPOSES.get(usage, usage.dotted_string) for usage in list(usages)[:MAX_NAMES])}"


def _names(certificate: X509) -> str:
    try:
        found = list(_alternatives(certificate))
    except _UNREADABLE:
        return "names that cannot be read"
    if not found:
        found = [value for kind, value in binding.subject(certificate) if kind == "CN"]
    if not found:
        return "no name at all"
    more = f", and {len(found) - MAX_NAMES} more" if len(found) > MAX_NAMES else ""
    return ", ".join(_SPECIAL.sub(_escaped, name[:_MAX_LENGTH]) for name in found[:MAX_NAMES]) + more


def _alternatives(certificate: X509) -> Iterator[str]:
    extensions = certificate.to_cryptography().extensions
    try:
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    for kind in (x509.DNSName, x509.IPAddress, x509.RFC822Name):
        yield from (str(value) for value in names.get_values_for_type(kind))


# By OpenSSL's numbers (x509_vfy.h).
_EXPLANATIONS: Final[dict[int, Callable[[X509, datetime.datetime], str]]] = {
    2: _without_issuer,
    3: _without_list,
    9: _not_yet_valid,
    10: _expired,
    11: _of_list,
    12: _of_list,
    18: _self_signed,
    19: _self_signed,
    20: _without_issuer,
    21: _without_issuer,
    23: _revoked,
    26: _purposes,
}
