"""What is unsafe in how a service uses OCSP, or changes nothing."""

from collections.abc import Iterator

from gtunnel.conf.settings import Configuration, OcspFlag, ServiceSettings

# Each lets an answer count that nobody with a say in the matter has made.
_WEAKENING = (OcspFlag.NOSIGS, OcspFlag.NOVERIFY, OcspFlag.NOCHECKS)
# What OCSP_basic_verify(3) makes nothing of, and the explicit trust that gtunnel does not have (tls/ocsp/judgement).
_IDLE = (
    *(OcspFlag.NOCERTS, OcspFlag.NOTIME, OcspFlag.RESPID_KEY),
    *(OcspFlag.NOCASIGN, OcspFlag.NODELEGATED, OcspFlag.NOEXPLICIT),
)


def nobody_is_asked_about(service: ServiceSettings, _: Configuration) -> Iterator[tuple[str, str]]:
    """Responders for a peer whom nobody verifies. A server without verification still staples their answers."""
    if service.client and service.ocsp.asks and not service.verification.convincing:
        yield "no OCSP responder is asked: the server's certificate is not verified", "set verifyChain = yes"


def weak_answers(service: ServiceSettings, _: Configuration) -> Iterator[tuple[str, str]]:
    """Flags that take checks away."""
    weak = [flag.value for flag in _WEAKENING if flag in service.ocsp.flags]
    if weak:
        yield f"OCSP answers of anybody can be believed (OCSPflag = {', '.join(weak)})", "leave OCSPflag out"


def inconclusive_answers(service: ServiceSettings, _: Configuration) -> Iterator[tuple[str, str]]:
    """OCSPrequire = no, which may be just what was wanted."""
    ocsp = service.ocsp
    if ocsp.asks and service.verification.convincing and not ocsp.require:
        text = "who keeps us from reaching a responder can use a revoked certificate (OCSPrequire = no)"
        yield text, "set OCSPrequire = yes, if connections may depend on the responders"


def idle_flags(service: ServiceSettings, _: Configuration) -> Iterator[tuple[str, str]]:
    """Flags without a meaning for whoever asks."""
    idle = [flag.value for flag in _IDLE if flag in service.ocsp.flags]
    if idle:
        yield f"OCSPflag = {', '.join(idle)} changes nothing", "remove the line"
