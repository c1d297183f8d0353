"""Second part, for root: a transparent gateway between a client that knows no TLS and a server that insists on it.

Three hosts in network namespaces. Nothing on client and server is prepared for the gateway; the gateway takes the
client's plain HTTP out of the traffic that it routes, and goes on to where it was meant to go, in TLS and with the
client's own address.
"""

import importlib.util
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from gtunnel.demo.certificate import make
from gtunnel.demo.errors import DemoError
from gtunnel.demo.program import ACCEPTING, GTUNNEL, Running, finish, python, tail
from gtunnel.demo.web import READY, Sight
from netsetup.lab import CLIENT, GATEWAY, SERVER, Lab, find_program

Say = Callable[[str], None]

PORT = 80
CONFIGURATION = f"""\
foreground = yes
pid =
debug = info

[gateway]
client = yes
transparent = both
accept = 127.0.0.1:8443
accept = ::1:8443
; Which of the routed traffic to take. `gtunnel netsetup apply` tells the kernel.
capture = {PORT}
captureInterface = {GATEWAY.interfaces[0].name}
CAfile = {{cert}}
verifyChain = yes
checkIP = {SERVER.v4}
checkIP = {SERVER.v6}
"""
# curl's exit status and output are ours to judge; -q: no configuration of the user's.
CURL = ("curl", "-q", "--silent", "--show-error", "--noproxy", "*", "--max-time", "15")
ADDRESSES = "%{local_ip} %{local_port}"


def obstacle() -> str | None:
    """Why this cannot be shown here, as a sentence; None if it can."""
    # netsetup takes what works: nftables, or iptables by python-iptables.
    rules = "nft" if find_program("nft") or importlib.util.find_spec("iptc") is None else "iptables"
    missing = [program for program in ("ip", rules, "curl") if find_program(program) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    return None


def show(say: Say, directory: Path, lab: Lab) -> None:
    """Show it in a lab that is up, which the caller takes down with all that runs in it. Raises `DemoError`."""
    certificate = make(directory, "server", (SERVER.v4, SERVER.v6))
    file = directory / "gateway.conf"
    file.write_text(CONFIGURATION.format(cert=certificate.cert))
    web = [*python("gtunnel.demo.web", "main"), str(PORT), SERVER.v4, SERVER.v6]
    web += ["--cert", str(certificate.cert), "--key", str(certificate.key)]
    on_gateway = partial(lab.run, GATEWAY.name)
    with Running("the server", web, directory / "server.log", partial(lab.popen, SERVER.name)) as server:
        server.wait_for(READY)
        say("   The server speaks nothing but TLS. Without gtunnel:")
        say("")
        say(f"     client$ curl http://{SERVER.v4}/")
        say(f"     {_refusal(lab)}")
        say("")
        say("   The gateway is set up and gtunnel started:")
        say("")
        with undone_if_left(on_gateway):
            say("     gateway$ gtunnel netsetup apply gateway.conf")
            say_all(say, summary(finish("netsetup apply", [*GTUNNEL, "netsetup", "apply", str(file)], on_gateway)))
            say("     gateway$ gtunnel gateway.conf")
            with Running(
                "gtunnel", [*GTUNNEL, str(file)], directory / "gateway.log", partial(lab.popen, GATEWAY.name)
            ) as gtunnel:
                gtunnel.wait_for(ACCEPTING)
                for family, address, host in (("IPv4", SERVER.v4, SERVER.v4), ("IPv6", SERVER.v6, f"[{SERVER.v6}]")):
                    say("")
                    say(f"   {family}:  client$ curl http://{host}/")
                    say("")
                    told, sight = _fetch(lab, host, gtunnel)
                    say_all(say, _picture(told, f"{host}:{PORT}", sight))
                    _judge(sight, address, gtunnel)
            say("")
            say("   And undone again:")
            say("")
            say("     gateway$ gtunnel netsetup destroy")
            say_all(say, summary(finish("netsetup destroy", [*GTUNNEL, "netsetup", "destroy"], on_gateway)))


@contextmanager
def undone_if_left(run: Callable[..., "subprocess.CompletedProcess[str]"]) -> Iterator[None]:
    """Let netsetup undo what it applied, also when something comes in between: its record is outside of the lab."""
    try:
        yield
    except BaseException:
        # In a session of its own: a terminal's second Ctrl-C is not meant for it.
        destroy = [*GTUNNEL, "netsetup", "destroy"]
        run(destroy, stdin=subprocess.DEVNULL, capture_output=True, start_new_session=True)
        raise


def summary(output: str) -> list[str]:
    """What netsetup says, without the rules and routes one by one: they are for somebody who asks for them."""
    return [line for line in output.splitlines() if not line.startswith(("+ ", "- "))]


def say_all(say: Say, lines: Sequence[str]) -> None:
    """Say lines, indented as commands' output is."""
    for line in lines:
        say(f"     {line}".rstrip())


def _picture(client: str, wanted: str, sight: Sight) -> Sequence[str]:
    width = max(len(client), len(sight.client))
    return (
        f"client    {client:<{width}}  ->  {wanted}   what curl sees",
        "   |      plain HTTP",
        "gateway   takes it, wraps it in TLS, verifies the server's certificate",
        f"   #      {sight.security}",
        f"server    {sight.client:<{width}}  ->  {sight.server}   what the server sees: the client's own address",
    )


def _refusal(lab: Lab) -> str:
    done = lab.run(CLIENT.name, [*CURL, f"http://{SERVER.v4}:{PORT}/"], capture_output=True, text=True)
    if done.returncode == 0:
        raise DemoError(what="The server answered plain HTTP, although nobody translates:", log=tail([done.stdout]))
    return str(done.stderr).strip().splitlines()[0]


def _fetch(lab: Lab, host: str, gtunnel: Running) -> tuple[str, Sight]:
    """Run curl on the client. Returns its own address as it sees it, and what the server saw."""
    argv = [*CURL, "--write-out", ADDRESSES, f"http://{host}:{PORT}/"]
    done = lab.run(CLIENT.name, argv, capture_output=True, text=True)
    page, _, addresses = str(done.stdout).rpartition("\n")
    sight = Sight.from_page(page)
    if done.returncode or sight is None:
        why = str(done.stderr).strip() or "no page came"
        raise DemoError(what=f"{why}\nThe last words of gtunnel on the gateway:", log=tail(gtunnel.lines))
    ip, port = addresses.split()
    return (f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"), sight


def _judge(sight: Sight, server: str, gtunnel: Running) -> None:
    """The addresses that were shown have to be the right ones."""
    client = CLIENT.v6 if ":" in server else CLIENT.v4
    if client not in sight.client or server not in sight.server or not sight.security.startswith("TLS"):
        raise DemoError(what="That is not what it should be. The gateway's log:", log=tail(gtunnel.lines))
