"""Taking the steps of an OCSP inquiry: the connection's greenlet waits for responders, others go on."""

from gtunnel.errors import GtunnelError
from gtunnel.events import Level, Log
from gtunnel.net.responders import Manner, Responders
from gtunnel.tls.ocsp.errors import InconclusiveError
from gtunnel.tls.ocsp.inquiry import Ask, Evidence, Inquirer, Verdict


class RevokedError(GtunnelError):
    """A peer that OCSP did not accept. `function` is SSL_accept or SSL_connect; the wording is stunnel's."""

    template = "{function}: SSL routines::certificate verify failed"


def inquire(inquirer: Inquirer, evidence: Evidence, responders: Responders, manner: Manner, log: Log) -> Verdict:
    """Find out whether a peer is accepted. Raises nothing: what could not be found out is in the verdict."""
    steps = inquirer.about(evidence, log)
    result: bytes | InconclusiveError | None = None
    while True:
        try:
            step = steps.send(result)  # type: ignore[arg-type] # a generator's first step takes None
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        if isinstance(step, Ask):
            result = _ask(step, responders, manner, log)
        else:
            responders.keep(step.url, step.request, step.answer, step.seconds)
            result = b""


def _ask(step: Ask, responders: Responders, manner: Manner, log: Log) -> bytes | InconclusiveError:
    kept = responders.kept(step.url, step.request)
    if kept is not None:
        log.write(Level.DEBUG, "OCSP: An answer is known already")
        return kept
    if step.url is None:
        return b""
    log.write(Level.NOTICE, f'OCSP: Connecting the {step.kind} responder "{step.url}"')
    try:
        answer = responders.ask(step.url, step.request, manner)
    except InconclusiveError as error:
        return error
    log.write(Level.DEBUG, "OCSP: Response received")
    return answer
