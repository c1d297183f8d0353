"""What has no effect of what was asked of the kernel's TLS."""

from collections.abc import Iterator

from gtunnel.conf.settings import Configuration, ServiceSettings, TlsVersion


def without_effect(service: ServiceSettings, _: Configuration) -> Iterator[tuple[str, str]]:
    """Options that stand there for nothing: they are not ignored in silence."""
    tls = service.tls
    wanted = {name for name, enabled in dict(tls.options).items() if enabled}
    if "ENABLE_KTLS" in wanted and tls.version_max not in {TlsVersion.ALL, TlsVersion.TLSV1_3}:
        yield "options = ENABLE_KTLS has no effect below TLS 1.3", "leave sslVersion and sslVersionMax out"
    if "ENABLE_KTLS_TX_ZEROCOPY_SENDFILE" in wanted:
        yield "options = ENABLE_KTLS_TX_ZEROCOPY_SENDFILE has no effect: no files are sent", "remove the line"
