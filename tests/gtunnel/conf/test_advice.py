from pathlib import Path

import pytest

from gtunnel.conf.advice import Severity, advise, warnings
from tests.gtunnel.conf.samples import CLIENT, GATEWAY, SERVER, configuration

SAFE_CLIENT = CLIENT + "verifyChain = yes\nCAfile = /etc/passwd\ncheckHost = a\n"


def texts(text: str) -> list[str]:
    return [f"{advice.text} ({advice.remedy})" for advice in advise(configuration(text))]


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key.pem"
    path.touch(mode=0o600)
    return path


def test_a_safe_configuration_needs_no_advice(key: Path) -> None:
    assert texts(SAFE_CLIENT) == []
    assert texts(SERVER + f"key = {key}\n") == []


def test_advice_names_place_and_service() -> None:
    (advice,) = advise(configuration("\n" + CLIENT))
    assert str(advice).startswith("t.conf:2: Service [c]: the server's certificate is not verified")
    assert (advice.place.line, advice.service) == (2, "c")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CLIENT, "the server's certificate is not verified"),
        (
            CLIENT + "verify = 2\nCAfile = /etc/passwd\n",
            "every server with a certificate of the trusted CAs is accepted",
        ),
        (
            SERVER + "verify = 2\nCAfile = /etc/passwd\n",
            "every client with a certificate of the trusted CAs is accepted",
        ),
        (SERVER + "verify = 1\nCAfile = /etc/passwd\n", "clients without a certificate are accepted"),
        (SERVER + "requireCert = yes\n", "any certificate is accepted"),
        (CLIENT + "verifyPeer = yes\nCAfile = /nonexistent\n", "CAfile = /nonexistent cannot be read"),
        (CLIENT + "verifyPeer = yes\nCApath = /nonexistent\n", "CApath = /nonexistent cannot be read"),
        ("chroot = /nonexistent\n" + CLIENT + "verifyPeer = yes\nCApath = /etc\n", "CApath = /etc cannot be read"),
        (CLIENT + "accept = 5\n", "everyone who reaches port 5 is connected to the server"),
        (CLIENT + "accept = :::5\ncert = /nonexistent\n", "connected to the server with our certificate"),
        (GATEWAY, "whoever can have connections redirected to port 1002"),
        (GATEWAY + "capture = 80\n", "limit it with captureFrom or captureTo"),
        (GATEWAY + "capture = 80\ncaptureFailClosed = no\n", "what it captures goes on unencrypted"),
        (SERVER + "sslVersion = TLSv1.1\n", "only TLSv1.1 and older are spoken"),
        (SERVER + "securityLevel = 0\n", "TLS 1.0 and 1.1 are allowed"),
        (SERVER + "securityLevel = 0\n", "keys and signatures of any weakness"),
        (SERVER + "ciphers = DEFAULT:@SECLEVEL=0\n", "keys and signatures of any weakness"),
        (SERVER + "ciphers = ALL:RC4+RSA:!DES\n", "ciphers lets weak ones in: ALL, RC4+RSA"),
        ("syslog = no\n" + SERVER, "nothing is logged anywhere"),
        ("pid = /tmp/x.pid\n" + SERVER, "pid = /tmp/x.pid is in a directory that everyone can write to"),
        ("output = /tmp/log\n" + SERVER, "output = /tmp/log is in a directory"),
        ("taskbar = yes\n" + SERVER, "option 'taskbar' is ignored"),
        (SERVER + SERVER.replace("1001", "1003"), "two services are named [s]: t.conf:1 and t.conf:5"),
    ],
)
def test_what_is_unsafe_is_told(text: str, expected: str) -> None:
    assert any(expected in found for found in texts(text)), texts(text)


@pytest.mark.parametrize(
    "text",
    [
        SAFE_CLIENT + "accept = /run/s\n",
        SERVER + "accept = 5\n",
        SERVER + "securityLevel = 1\n",
        SERVER + "sslVersionMin = TLSv1.2\n",
        SERVER + "ciphers = HIGH:!RC4:-MD5:+3DES\n",
        GATEWAY + "capture = 80\ncaptureFrom = 10.0.0.0/8\nverifyPeer = yes\nCAfile = /etc/passwd\n",
        "foreground = yes\nsyslog = no\n" + SERVER,
        "setuid = root\n" + SAFE_CLIENT + "transparent = source\n",
        "pid = /run/x.pid\n" + SERVER,
    ],
)
def test_what_is_safe_is_not(text: str) -> None:
    assert texts(text) == []


def test_a_key_that_others_can_read_is_told(key: Path) -> None:
    key.chmod(0o604)
    (text,) = texts(SERVER + f"key = {key}\n")
    assert text == f"Insecure file permissions on {key} (mode 0604) (chmod 600 {key})"


def test_logged_keys_that_others_can_read_are_told(key: Path) -> None:
    key.chmod(0o644)
    found = texts(SERVER + f"keylog = {key}\n")
    assert f"Insecure file permissions on {key} (mode 0644) (chmod 600 {key})" in found


def test_a_key_that_its_group_may_read_is_a_choice(key: Path) -> None:
    key.chmod(0o640)
    assert texts(SERVER + f"key = {key}\n") == []


def test_a_key_of_a_stranger_is_told(key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.stat

    def owned_by_a_stranger(self: Path, **options: bool) -> object:
        found = list(real(self, **options))
        found[4] = 4242
        return type(real(self))(found)

    monkeypatch.setattr(Path, "stat", owned_by_a_stranger)
    assert any("belongs to another user (uid 4242)" in text for text in texts(SERVER + f"key = {key}\n"))
    assert texts(f"setuid = 4242\n{SERVER}key = {key}\n") == []


def test_a_key_that_cannot_be_looked_at_is_left_to_who_opens_it() -> None:
    assert texts(SERVER + "key = /nonexistent\n") == []


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        (SERVER, "every client with a certificate of the trusted CAs is accepted"),
        (
            GATEWAY + "capture = 80\ncaptureFrom = 10.0.0.0/8\n",
            "every server with a certificate of the trusted CAs is accepted, whatever its name",
        ),
    ],
)
def test_what_may_be_just_what_was_wanted_is_no_warning(text: str, remark: str) -> None:
    whole = configuration(text + "verifyChain = yes\nCAfile = /etc/passwd\n")
    (advice,) = advise(whole)
    assert (advice.text, advice.severity) == (remark, Severity.REMARK)
    assert "checkIP" not in advice.remedy
    assert warnings(whole) == ()


def test_warnings_are_what_is_unsafe() -> None:
    whole = configuration(CLIENT)
    assert warnings(whole) == advise(whole) != ()
