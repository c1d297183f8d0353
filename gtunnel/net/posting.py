"""One HTTP request to a responder, without holding up other connections: http.client on a socket of gevent's.

Nothing here ends by itself: whoever calls it sets the deadline (`gevent.Timeout`).
"""

from contextlib import closing

from gevent import socket

from gtunnel.address import HttpUrl, SocketAddress
from gtunnel.net import resolver, sockopts
from gtunnel.net.errors import ResolveError, errno_text
from gtunnel.tls.ocsp.errors import InconclusiveError
from gtunnel.tls.ocsp.judgement import MAX_ANSWER_BYTES

_HEADERS = {
    "Content-Type": "application/ocsp-request",
    "Accept": "application/ocsp-response",
    "Connection": "close",
}


def post(url: HttpUrl, body: bytes, mark: int) -> bytes:
    """Ask a responder. `mark`: SO_MARK of the socket, 0 for none. Raises `InconclusiveError`.

    Redirects are not followed: they could lead anywhere, and no responder needs them.
    """
    # Not at the top: in inetd mode each connection would wait for loading it (`daemon.worker` does so at once).
    import http.client

    with closing(_connect(url, mark)) as sock:
        connection = http.client.HTTPConnection(url.endpoint.host, url.endpoint.port)
        connection.auto_open = 0
        connection.sock = sock
        try:
            connection.request("POST", url.target, body, _HEADERS)
            with connection.getresponse() as response:
                answer = response.read(MAX_ANSWER_BYTES + 1)
        except OSError as error:
            raise InconclusiveError(reason=f"responder {url}: {errno_text(error)}") from error
        except (http.client.HTTPException, ValueError) as error:
            raise InconclusiveError(reason=f"responder {url}: no HTTP: {type(error).__name__}") from error
        if response.status != http.HTTPStatus.OK:
            raise InconclusiveError(reason=f"responder {url}: HTTP status {response.status}")
        if len(answer) > MAX_ANSWER_BYTES:
            raise InconclusiveError(reason=f"responder {url}: an answer of more than {MAX_ANSWER_BYTES} bytes")
        if response.length:
            raise InconclusiveError(reason=f"responder {url}: the answer is incomplete")
        return answer


def _connect(url: HttpUrl, mark: int) -> socket.socket:
    """A connected socket, to the first address that answers."""
    try:
        addresses = resolver.lookup(url.endpoint)
    except ResolveError as error:
        reason = f"Failed to resolve the OCSP responder address: {error}"
        raise InconclusiveError(reason=reason) from error
    failure = "no address"
    for address in addresses:
        if not isinstance(address, SocketAddress):
            continue
        sock = socket.socket(address.family, socket.SOCK_STREAM)
        try:
            if mark:
                sockopts.set_mark(sock, mark)
            sock.connect(address.sockaddr)
        except OSError as error:
            sock.close()
            failure = errno_text(error)
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise InconclusiveError(reason=f"responder {url}: {failure}")
