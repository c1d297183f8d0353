"""The descriptor limit."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from gtunnel.net.limits import RESERVED_DESCRIPTORS, connections_within, raise_descriptor_limit

SHOW = "from gtunnel.net.limits import raise_descriptor_limit; print(raise_descriptor_limit())"


def test_each_connection_needs_two_and_some_are_kept_back() -> None:
    assert connections_within(RESERVED_DESCRIPTORS + 4 + 200, listeners=4) == 100


@pytest.mark.parametrize("descriptors", [0, 10, RESERVED_DESCRIPTORS])
def test_one_connection_is_always_possible(descriptors: int) -> None:
    assert connections_within(descriptors, listeners=3) == 1


def test_the_soft_limit_rises_to_the_hard_one_without_rights() -> None:
    command = ["setpriv", "--bounding-set=-sys_resource", "--inh-caps=-sys_resource", "prlimit", "--nofile=100:200"]
    done = subprocess.run([*command, sys.executable, "-c", SHOW], capture_output=True, text=True, check=True)
    assert done.stdout == "200\n"


CAP_SYS_RESOURCE = 24
STATUS = Path("/proc/self/status").read_text()
EFFECTIVE = int(STATUS.partition("CapEff:")[2].split()[0], 16)


@pytest.mark.skipif(not EFFECTIVE >> CAP_SYS_RESOURCE & 1, reason="needs CAP_SYS_RESOURCE")
def test_root_goes_past_the_hard_limit() -> None:
    command = ["prlimit", "--nofile=100:200", sys.executable, "-c", SHOW]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) > 10000


def test_a_limit_is_never_lowered() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    try:
        assert raise_descriptor_limit() >= before
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
