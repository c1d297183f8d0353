"""From settings to an OpenSSL context. Contexts are built once, before workers are forked: all of them share the
ticket keys, so a session that one worker started is good in the others (see `resumption`).
"""

import ipaddress
from collections.abc import Callable
from functools import lru_cache, partial

from OpenSSL import SSL

from gtunnel.conf.settings import ServiceSettings
from gtunnel.tls import keyshares
from gtunnel.tls.credentials import set_identity, set_key_exchange
from gtunnel.tls.engine import Request, TlsEngine
from gtunnel.tls.handover import HandoverEngine
from gtunnel.tls.keylog import set_keylog, set_secrets, tells_secrets
from gtunnel.tls.ocsp.inquiry import Inquirer
from gtunnel.tls.ocsp.staple import Staple, staple_for
from gtunnel.tls.ocsp.stapling import inquirer, take_staples, takes_staples
from gtunnel.tls.openssl import binding
from gtunnel.tls.openssl.sessions import Session
from gtunnel.tls.policy import set_policy
from gtunnel.tls.psk import set_keys
from gtunnel.tls.resumption import ServerSessions, session_context, set_resumption
from gtunnel.tls.revocation import set_revocation
from gtunnel.tls.setup import take_all
from gtunnel.tls.site import Site
from gtunnel.tls.trust import set_verification
from gtunnel.values import dataclass

# Asked for each connection; few services have more targets than that.
_REMEMBERED_HOSTS = 1024


@dataclass(frozen=True, slots=True)
class TlsContext:
    """A service's TLS, ready to start connections. `staple`: whether a client asks for a stapled OCSP answer;
    `inquirer`: who asks about peers, None where nobody is asked; `served`: what a server staples; `narrows`: whether a
    client that resumes makes no key that its server would not take (`keyshares`); `kernel`: whether the kernel may go
    on with a connection (`handover`).
    """

    context: SSL.Context
    client: bool
    sni: str | None
    sessions: ServerSessions
    staple: bool = False
    inquirer: Inquirer | None = None
    served: Staple | None = None
    narrows: bool = False
    kernel: bool = False

    def engine(self, host: str | None = None, session: Session | None = None, group: str | None = None) -> TlsEngine:
        """Start a connection. `host` is the name that the configuration connects to, if it is one; `session` what a
        client wants to resume (`TlsEngine.session`), `group` what its server took last (`TlsEngine.group`)."""
        start = HandoverEngine if self.kernel else TlsEngine
        if not self.client:
            return start(self.context, None)
        groups = keyshares.narrowed(group) if self.narrows and session is not None else None
        return start(self.context, Request(self.server_name(host), session, self.staple, groups))

    def server_name(self, host: str | None) -> str | None:
        """The SNI to send. RFC 6066, section 3: literal addresses are not permitted in it."""
        if not self.client:
            return None
        name = host if self.sni is None else self.sni
        return None if not name or _is_literal(name) else name


def build(service: ServiceSettings, site: Site | None = None, has_kernel_tls: Callable[[], bool] = bool) -> TlsContext:
    """Compile a service's TLS settings. Reads the certificate files. Raises `TlsSetupError` with all that is wrong.

    `has_kernel_tls` is asked, where a service wants that, whether the kernel can go on with connections.
    """
    tls, site = service.tls, site or Site()
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    binding.write_whole(context)
    # Reads whole directories of certificates: only a server has use for it.
    good_for = b"" if service.client else session_context(service, site)
    take_all(
        # The security level first: certificates are judged by it when they are loaded.
        partial(set_policy, context, tls, client=service.client),
        partial(set_revocation, context, service.verification, site),
        partial(set_identity, context, tls, site),
        *(() if service.client else (partial(set_key_exchange, context, tls, site),)),
        partial(
            set_verification,
            context,
            service.verification,
            site,
            server=not service.client,
            tolerant=bool(service.redirect),
        ),
        partial(set_keys, context, tls, site, client=service.client),
        partial(_set_keylog, context, tls.keylog, has_kernel_tls),
        partial(set_resumption, context, service, good_for),
    )
    if service.virtual_names:
        # The name has decided already who answers. Being asked is what makes OpenSSL say so (RFC 6066, section 3).
        context.set_tlsext_servername_callback(lambda _: None)
    staple = takes_staples(service)
    if staple:
        take_staples(context)
    sessions = ServerSessions(context, service, good_for)
    asking, served = inquirer(context, service), staple_for(context, service)
    narrows = service.client and keyshares.are_default(tls)
    kernel = tells_secrets(context)
    return TlsContext(context, service.client, tls.sni, sessions, staple, asking, served, narrows, kernel)


def _set_keylog(context: SSL.Context, file: str | None, has_kernel_tls: Callable[[], bool]) -> None:
    """After the policy, which has the option."""
    if binding.context_has_option(context, "ENABLE_KTLS") and has_kernel_tls():
        set_secrets(context, file)
    else:
        set_keylog(context, file)


@lru_cache(maxsize=_REMEMBERED_HOSTS)
def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
