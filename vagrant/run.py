"""Run the testbed: bring its machines up, and look at each mode of the gateway on kernels that really boot.

    vagrant/run.py [--quick] [--kernels DIRECTORY] [--keep]

Machines are made by Vagrant as vagrant/Vagrantfile and the environment say; vagrant/test calls this where nothing else
can run them. `--kernels`: below it are 6.1/ and 6.12/, to boot by; without it, machines boot what their box has.
`--quick` leaves out what takes long, and says what. At the end the machines are destroyed, unless they are to be kept.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import matrix

HERE = Path(__file__).resolve().parent
MACHINES = ("server", "gateway", "client")
CONFIGURATION = "/etc/gtunnel/gtunnel.conf"
UNITS = "gtunnel-netsetup gtunnel"
BACKENDS = ("nftables", "iptables")
# Modules that the rules need: not there at first, loaded by applying.
MODULES = {"nftables": ("nf_tables", "nft_tproxy", "nft_socket"), "iptables": ("ip_tables", "xt_TPROXY", "xt_socket")}
# In seconds: for one command of Vagrant, which may boot machines under emulation.
PATIENCE = 600.0


class FailedError(Exception):
    """Something did not hold; the text says what."""


class Testbed:
    """The machines, by Vagrant's commands."""

    def __init__(self) -> None:
        self._environment = dict(os.environ)
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        """A line for who watches, with the seconds since the beginning."""
        sys.stdout.write(f"[{time.monotonic() - self._began:4.0f} s] {text}\n")
        sys.stdout.flush()

    def boot_by(self, kernel: Path) -> None:
        """The kernel that machines boot from now on: a directory."""
        self._environment["TESTBED_KERNEL"] = str(kernel)

    def vagrant(self, *arguments: str, text: str = "") -> str:
        """Run `vagrant`; returns its output. Raises `FailedError` with all of it."""
        argv = ["vagrant", arguments[0], "--no-tty", *arguments[1:]]
        done = subprocess.run(
            argv,
            cwd=HERE,
            env=self._environment,
            input=text,
            text=True,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        if done.returncode:
            raise FailedError(f"{' '.join(argv)}: status {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
        return done.stdout

    def ssh(self, machine: str, script: str, text: str = "") -> str:
        """Run a shell script as root on a machine."""
        return self.vagrant("ssh", machine, "--command", f"sudo sh -ec '{script}'", text=text)


def prepare(testbed: Testbed) -> None:
    """Machines that have never been anything else."""
    testbed.say("vagrant up: client, gateway, server")
    testbed.vagrant("up")
    version = testbed.ssh("gateway", "uname -r; gtunnel --version").split("\n")
    testbed.say(f"the gateway runs Linux {version[0]}, {version[1]}")


def configure(testbed: Testbed, backend: str) -> None:
    """Write the gateway's configuration, and let its units come up at each boot from now on."""
    testbed.ssh(
        "gateway", f"cat >{CONFIGURATION}; systemctl enable --quiet {UNITS}", text=matrix.configuration(backend)
    )


def loaded(testbed: Testbed, backend: str) -> set[str]:
    """Which of the modules that the backend's rules need are there."""
    return set(MODULES[backend]) & set(testbed.ssh("gateway", 'cut -d" " -f1 /proc/modules').split())


def demand_unloaded(testbed: Testbed, backend: str) -> None:
    """That there is something to be loaded by applying."""
    before = loaded(testbed, backend)
    if before == set(MODULES[backend]):
        raise FailedError(f"all of {before} are loaded already: nothing shows that applying loads them")
    testbed.say(
        f"modules that {backend} needs: {', '.join(MODULES[backend])}; there before: {', '.join(before) or 'none'}"
    )


def demand_loaded(testbed: Testbed, backend: str) -> None:
    """That applying has loaded what was missing."""
    missing = set(MODULES[backend]) - loaded(testbed, backend)
    if missing:
        raise FailedError(f"not loaded by applying: {', '.join(missing)}")
    testbed.say(f"{backend}: all of its modules are loaded")


def apply(testbed: Testbed, backend: str) -> None:
    """The configuration with this backend, by the units. Each command fails if its unit does."""
    configure(testbed, backend)
    testbed.ssh("gateway", f"systemctl restart {UNITS}; gtunnel netsetup status")
    testbed.say(f"{backend}: applied by gtunnel-netsetup.service, in sync")


def traffic(testbed: Testbed, title: str) -> None:
    """All cases of the matrix. Raises `FailedError` with those that fail."""
    cases = matrix.cases()
    results: dict[str, Any] = {}
    for origin in ("client", "gateway"):
        wanted = {case.name: case.where for case in cases if case.origin == origin}
        script = "python3 /usr/src/gtunnel/vagrant/traffic.py probe"
        results |= json.loads(testbed.ssh(origin, script, text=json.dumps(wanted)))
    problems = [f"{case.name}: {problem}" for case in cases if (problem := case.judge(results.get(case.name)))]
    testbed.say(f"{title}: {len(cases) - len(problems)} of {len(cases)} cases hold")
    if problems:
        raise FailedError("\n".join(problems))


def by_themselves(testbed: Testbed, title: str) -> None:
    """After a boot: the units have done it all, and nobody else."""
    # ssh may be there before all the others.
    script = f"systemctl is-system-running --wait || :; systemctl is-active {UNITS}; gtunnel netsetup status; uname -r"
    whole, *states, status, kernel = testbed.ssh("gateway", script).split("\n")[:-1]
    testbed.say(f"{title}: {whole}; {UNITS} {' '.join(states)}; {status}; Linux {kernel}")
    if states != ["active", "active"]:
        raise FailedError("a unit did not come up by itself")
    traffic(testbed, title)


def ktls(testbed: Testbed) -> None:
    """Connections whose TLS the gateway's kernel does, over loopback: vagrant/ktls.py."""
    check = "python3 /usr/src/gtunnel/vagrant/ktls.py check --mib 1"
    said = testbed.ssh("gateway", f"{check} && echo status 0 || echo status 1")
    *lines, status = said.strip().split("\n")
    if status != "status 0":
        raise FailedError(said)
    testbed.say(f"kTLS: {sum(line.endswith(': holds') for line in lines)} cases hold; {lines[0]}; {lines[-1]}")


def run_quick(testbed: Testbed) -> None:
    """The most important part: the units bring everything up at a boot, modules included."""
    backend, other = BACKENDS
    demand_unloaded(testbed, backend)
    configure(testbed, backend)
    testbed.say("the gateway boots again")
    testbed.vagrant("reload", "--no-provision", "gateway")
    by_themselves(testbed, f"{backend}, after a boot")
    demand_loaded(testbed, backend)
    ktls(testbed)
    testbed.say(
        f"left out, as make vagrant-test has it: {other}; a change of backend; another kernel; provisioning again"
    )


def run_all(testbed: Testbed, kernels: Path | None) -> None:
    """Everything, in an order in which each kernel boots once."""
    for backend in BACKENDS:
        demand_unloaded(testbed, backend)
        apply(testbed, backend)
        demand_loaded(testbed, backend)
        traffic(testbed, backend)
    ktls(testbed)
    first, second = BACKENDS
    testbed.say("the gateway boots again")
    testbed.vagrant("reload", "--no-provision", "gateway")
    by_themselves(testbed, f"{second}, after a boot")
    apply(testbed, first)
    if kernels is not None and (kernels / "6.12").exists():
        testbed.say("all machines boot Linux 6.12")
        testbed.vagrant("halt")
        testbed.boot_by(kernels / "6.12")
        testbed.vagrant("up", "--no-provision")
        by_themselves(testbed, f"{first}, after the kernel's upgrade")
        ktls(testbed)
        apply(testbed, second)
        traffic(testbed, f"{second}, after the kernel's upgrade")
    else:
        testbed.say("left out: a newer kernel, of which there is none (--kernels)")
    testbed.say("vagrant provision: a second time")
    testbed.vagrant("provision", "gateway")
    testbed.ssh("gateway", f"systemctl restart {UNITS}")
    by_themselves(testbed, "after it")


def main() -> int:
    """Parse the command line, run, and always clean up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="leave out what takes long")
    parser.add_argument("--kernels", type=Path, help="directory of kernels to boot by")
    parser.add_argument("--keep", action="store_true", help="do not destroy the machines")
    args = parser.parse_args()
    testbed = Testbed()
    try:
        if args.kernels is not None:
            testbed.boot_by(args.kernels / "6.1")
        prepare(testbed)
        if args.quick:
            run_quick(testbed)
        else:
            run_all(testbed, args.kernels)
    except (FailedError, subprocess.TimeoutExpired) as error:
        testbed.say(f"FAILED: {error}")
        with contextlib.suppress(FailedError, subprocess.TimeoutExpired):
            testbed.say(testbed.ssh("gateway", f"journalctl --no-pager -n 100 -u {UNITS.replace(' ', ' -u ')}"))
        return 1
    finally:
        if not args.keep:
            testbed.vagrant("destroy", "--force")
    testbed.say("all of it holds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
