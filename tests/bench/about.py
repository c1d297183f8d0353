"""The machine and the programs of a measurement, in general terms."""

import datetime
import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path

from OpenSSL import SSL

from gtunnel.version import VERSION

# How each program tells its version. Debian's all use the one OpenSSL that Debian has.
_VERSIONS = {
    "stunnel4": ["stunnel4", "-version"],
    "haproxy": ["haproxy", "-v"],
    "hitch": ["hitch", "-V"],
    "nginx": ["nginx", "-v"],
    "openssl": ["openssl", "version"],
}


def machine() -> str:
    """One line: processors, memory, kernel."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    kernel = ".".join(platform.release().split(".")[:2])
    # "QEMU" or "KVM" would tell nothing; that it is virtual does.
    virtual = "virtual machine, " if "hypervisor" in Path("/proc/cpuinfo").read_text() else ""
    return f"{virtual}{os.cpu_count()} processors ({platform.machine()}), {pages / 2**30:.0f} GiB, Linux {kernel}"


def versions(names: list[str]) -> dict[str, str]:
    """What each of these programs says of itself."""
    return {name: _ours() if name == "gtunnel" else _told(name) for name in names}


def today() -> str:
    """The date, as in 2026-01-31."""
    return datetime.datetime.now(tz=datetime.UTC).date().isoformat()


def _ours() -> str:
    tls = SSL.SSLeay_version(SSL.SSLEAY_VERSION).decode().partition(" ")[2].split()[0]
    parts = [f"{name} {importlib.metadata.version(name)}" for name in ("gevent", "pyOpenSSL")]
    return (
        f"{VERSION}, {platform.python_implementation()} {platform.python_version()}, OpenSSL {tls}, {', '.join(parts)}"
    )


def _told(name: str) -> str:
    try:
        done = subprocess.run(_VERSIONS[name], capture_output=True, text=True, check=False, timeout=10)
    except OSError:
        return "not installed"
    found = re.search(r"\b\d+(\.\d+)+", done.stdout + done.stderr)
    return found[0] if found else "of an unknown version"
