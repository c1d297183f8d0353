"""Which files a service's TLS is made of, and who may come in."""

from gtunnel.conf.settings import ServiceSettings
from gtunnel.tls.castore import store_path


def files_of(service: ServiceSettings) -> tuple[str, ...]:
    """All files and directories that its settings name and that are read when it is compiled."""
    tls, verification = service.tls, service.verification
    store = None if verification.ca_store is None else store_path(verification.ca_store)
    named = (
        tls.cert,
        tls.key,
        tls.psk_secrets,
        service.protocol.socks.users,
        verification.ca_file,
        verification.ca_path,
        None if store is None else str(store),
        verification.crl_file,
        verification.crl_path,
    )
    return tuple(dict.fromkeys(name for name in named if name is not None))
