import re

import pytest

from gtunnel.conf.option import BadValueError, Repeated, Scope, Single
from gtunnel.conf.table import INCLUDE, TABLE, find, is_secret, nearest

# The options of the manual (stunnel 5.28), section CONFIGURATION FILE.
MANUAL_GLOBAL = [
    "chroot",
    "compression",
    "debug",
    "EGD",
    "engine",
    "engineCtrl",
    "engineDefault",
    "fips",
    "foreground",
    "iconActive",
    "iconError",
    "iconIdle",
    "log",
    "output",
    "pid",
    "RNDbytes",
    "RNDfile",
    "RNDoverwrite",
    "service",
    "socket",
    "syslog",
    "taskbar",
    "setuid",
    "setgid",
]
MANUAL_SERVICE = [
    "accept",
    "CApath",
    "CAfile",
    "cert",
    "checkEmail",
    "checkHost",
    "checkIP",
    "ciphers",
    "client",
    "config",
    "connect",
    "CRLpath",
    "CRLfile",
    "curve",
    "logId",
    "debug",
    "delay",
    "engineId",
    "engineNum",
    "exec",
    "execArgs",
    "failover",
    "ident",
    "include",
    "key",
    "libwrap",
    "local",
    "sni",
    "OCSP",
    "OCSPaia",
    "OCSPflag",
    "OCSPnonce",
    "options",
    "protocol",
    "protocolAuthentication",
    "protocolDomain",
    "protocolHost",
    "protocolPassword",
    "protocolUsername",
    "PSKidentity",
    "PSKsecrets",
    "pty",
    "redirect",
    "renegotiation",
    "reset",
    "retry",
    "setgid",
    "setuid",
    "sessionCacheSize",
    "sessionCacheTimeout",
    "sessiond",
    "sslVersion",
    "stack",
    "TIMEOUTbusy",
    "TIMEOUTclose",
    "TIMEOUTconnect",
    "TIMEOUTidle",
    "transparent",
    "verify",
]
# What stunnel has added since.
NEWER_GLOBAL = ["setEnv", "provider", "providerParameter"]
NEWER_SERVICE = [
    "CAengine",
    "CAstore",
    "ciphersuites",
    "curves",
    "OCSPrequire",
    "protocolHeader",
    "requireCert",
    "securityLevel",
    "sessionResume",
    "sslVersionMin",
    "sslVersionMax",
    "ticketKeySecret",
    "ticketMacSecret",
    "TIMEOUTocsp",
    "verifyChain",
    "verifyPeer",
    "socket",
    "session",
    "service",
]
OURS_GLOBAL = [
    *("workers", "reloadCerts", "maxConnections", "control", "controlGroup", "accessLog", "drainTimeout"),
    *("netBackend", "netMark", "netName", "netTable", "netPriority"),
]
OURS_SERVICE = [
    "handshakeTimeout",
    "maxConnections",
    "maxConnectionsPerIP",
    "keylog",
    "capture",
    "captureInterface",
    "captureFrom",
    "captureTo",
    "captureExclude",
    "captureFailClosed",
    "captureLocal",
    "captureMethod",
    "acceptProxy",
    "proxyVersion",
    "socksBind",
    "socksTargets",
    "socksUdp",
    "socksUsers",
]


@pytest.mark.parametrize("name", MANUAL_GLOBAL + NEWER_GLOBAL + OURS_GLOBAL)
def test_every_global_option_may_stand_before_the_first_section(name: str) -> None:
    row = find(name, in_section=False)
    assert row is not None
    assert name in row.names


@pytest.mark.parametrize("name", MANUAL_SERVICE + NEWER_SERVICE + OURS_SERVICE)
def test_every_service_option_may_stand_in_a_section_and_as_a_default(name: str) -> None:
    row = find(name, in_section=True)
    assert row is not None
    assert row.scope is Scope.SERVICE
    assert find(name, in_section=False) is not None


def test_the_table_has_no_other_options() -> None:
    known = {*MANUAL_GLOBAL, *MANUAL_SERVICE, *NEWER_GLOBAL, *NEWER_SERVICE, *OURS_GLOBAL, *OURS_SERVICE}
    assert {name for row in TABLE for name in row.names} == known


def test_names_are_found_in_any_case() -> None:
    assert find("ACCEPT", in_section=True) is find("accept", in_section=True)


def test_an_option_may_mean_another_thing_in_a_section() -> None:
    for name in ("debug", "setuid", "setgid", "service"):
        assert find(name, in_section=False) is not find(name, in_section=True)


def test_global_options_are_no_service_options() -> None:
    for name in ("pid", "foreground", "workers", "taskbar"):
        assert find(name, in_section=True) is None


def test_a_name_has_one_row_in_a_scope() -> None:
    for scope in Scope:
        names = [name.lower() for row in TABLE if row.scope is scope for name in row.names]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.scope.value}-{row.name}")
def test_rows_are_complete(row: object) -> None:
    (row,) = [one for one in TABLE if one is row]
    assert isinstance(row, Single | Repeated)
    assert row.help[0].isalpha()
    assert not row.help.endswith(".")
    assert "\n" not in row.help
    assert len(row.help) <= 90
    assert row.metavar
    assert re.fullmatch(r"(stunnel|gtunnel) \d+(\.\d+)?", row.since)
    # Every alternative of a metavar like "yes|no" is a value, or refused as not working.
    for word in row.metavar.split("|"):
        if row.metavar.islower() and re.fullmatch("[a-z]+", word):
            try:
                row.parse(word)
            except BadValueError as error:  # pragma: no cover
                pytest.fail(f"{row.name} = {word}: {error}")


def test_defaults_are_values() -> None:
    for row in TABLE:
        if isinstance(row, Single) and row.works_for:
            assert row.default in row.works_for


def test_the_nearest_option_is_found_and_nothing_for_nonsense() -> None:
    assert nearest("acept") == "accept"
    assert nearest("TIMEOUTIDEL") == "TIMEOUTidle"
    assert nearest("conect") == "connect"
    assert nearest("quux") is None
    assert nearest("x" * 100_000) is None


def test_secrets_are_known_when_misspelt() -> None:
    for name in (
        "protocolPassword",
        "PROTOCOLPASSWORD",
        "protocolPasswrd",
        "ticketKeySecert",
        "mypassphrase",
        "pskkey",
    ):
        assert is_secret(name)
    for name in ("accept", "key", "cert", "protocolUsername", "PSKsecrets", "nonsense", ""):
        assert not is_secret(name)


def test_include_may_stand_anywhere() -> None:
    assert {find("include", in_section=True), find("include", in_section=False)} == set(INCLUDE)
