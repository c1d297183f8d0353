import pytest

from gtunnel.conf.advice import Severity, advise
from tests.gtunnel.conf.samples import CLIENT, SERVER, configuration

SAFE = CLIENT + "verifyChain = yes\nCAfile = /etc/passwd\ncheckHost = a\n"


def found(text: str) -> list[tuple[Severity, str]]:
    """What is said about OCSP."""
    return [(one.severity, one.text) for one in advise(configuration(text)) if "OCSP" in one.text]


@pytest.mark.parametrize(
    "text",
    [
        SAFE + "OCSPaia = yes\n",
        SAFE + "OCSP = http://x/\nOCSPnonce = yes\nOCSPflag = NOCHAIN\nOCSPflag = NOINTERN\n",
        SAFE + "OCSPrequire = no\n",
        # It staples what they say.
        SERVER + "OCSPaia = yes\n",
    ],
)
def test_asking_is_safe(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "severity", "expected"),
    [
        (CLIENT + "OCSPaia = yes\n", Severity.WARNING, "no OCSP responder is asked"),
        (SAFE + "OCSPflag = NOVERIFY\nOCSPflag = NOSIGS\n", Severity.WARNING, "(OCSPflag = NOSIGS, NOVERIFY)"),
        (SAFE + "OCSPaia = yes\nOCSPrequire = no\n", Severity.REMARK, "can use a revoked certificate"),
        (SAFE + "OCSPflag = NOTIME\n", Severity.REMARK, "OCSPflag = NOTIME changes nothing"),
    ],
)
def test_what_is_not_is_told(text: str, severity: Severity, expected: str) -> None:
    ((level, said),) = found(text)
    assert level is severity
    assert expected in said
