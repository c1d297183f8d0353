"""Certificates in every situation that verification has to tell apart, for one role, and the files that settings name.

    root ── (leaves)
     ├── between ── (leaves)        ├── withdrawn (revoked itself) ── below withdrawn
     ├── between-expired ── …       ├── no-ca ── …       ├── limited (only names below example.org) ── …
    impostor  has the root's name, and another key
"""

import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.support import needs
from tests.support.certificates import LOCAL_IPS, Authority, Identity, Wish

VALID = "valid"
MISSING = "missing"
IMPOSTOR = "named as the installed one"

_MAIL = ("host@example.org",)


class Situations:
    """`identities` by the situation's name; `MISSING` has none. `fill` puts names of files into settings."""

    def __init__(self, directory: Path, *, client: bool) -> None:
        self._directory = directory
        self._wish = Wish(name="localhost", dns=["localhost"], ips=LOCAL_IPS, emails=_MAIL, client=client)
        root = self._root = Authority(directory, "root")
        self._between = Authority(directory, "between", root)
        self._withdrawn = Authority(directory, "withdrawn", root)
        self._stranger = Authority(directory, "stranger")
        self._expired_root = Authority(directory, "expired-root", expired=True)
        self.identities: Mapping[str, Identity | None] = {
            **self._of_the_root(),
            **self._through_others(),
            **self._of_strangers(),
            MISSING: None,
        }
        self._names = self._files()

    def fill(self, settings: str) -> str:
        """Settings with the names of files in them."""
        return settings.format_map(self._names)

    def _of_the_root(self) -> dict[str, Identity]:
        root, wish = self._root, self._wish
        other = replace(wish, name="other.example.org", dns=["other.example.org"], ips=["192.0.2.99"], emails=[])
        role = ExtendedKeyUsageOID.CLIENT_AUTH if wish.client else ExtendedKeyUsageOID.SERVER_AUTH
        extensions = self._directory / "by-hand.ext"
        extensions.write_text(
            "basicConstraints=critical,CA:FALSE\nsubjectAltName=DNS:localhost,IP:127.0.0.1,email:host@example.org\n"
        )
        return {
            VALID: root.issue(wish),
            "expired": root.issue(replace(wish, expired=True)),
            "not yet valid": root.issue(replace(wish, future=True)),
            "wrong host": root.issue(other),
            "wildcard": root.issue(replace(wish, dns=["*.example.org"])),
            "a NUL in the name": root.issue(replace(wish, name="x", dns=["localhost\0.org"], ips=[], emails=[])),
            "common name alone": root.issue(replace(wish, dns=[], ips=[], emails=[])),
            "wrong purpose": root.issue(replace(wish, client=not wish.client)),
            "code signing": root.issue(replace(wish, purposes=[ExtendedKeyUsageOID.CODE_SIGNING])),
            "two purposes": root.issue(replace(wish, purposes=[ExtendedKeyUsageOID.CODE_SIGNING, role])),
            "any purpose": root.issue(replace(wish, purposes=[ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])),
            "no purpose": root.issue(replace(wish, purposes=[])),
            "a key not for signing": root.issue(replace(wish, signing=False)),
            "an unknown critical extension": root.issue(replace(wish, odd=True)),
            "weak key": root.issue(replace(wish, algorithm="weak")),
            "weak signature": root.issue_by_hand("-sha1", "-extfile", str(extensions)),
            "version 1": root.issue_by_hand("-sha256"),
            "revoked": root.issue(wish),
            "forged": root.issue(wish, self._stranger),
        }

    def _through_others(self) -> dict[str, Identity]:
        directory, root, wish = self._directory, self._root, self._wish
        left_out = self._between.issue(wish)
        left_out.cert.write_bytes(_pem(left_out))
        limits = [x509.NameConstraints(permitted_subtrees=[x509.DNSName("example.org")], excluded_subtrees=None)]
        limited = Authority(directory, "limited", root, limits=limits)
        short = Authority(directory, "short", root, path_length=0)
        return {
            "of an intermediate CA": self._between.issue(wish),
            "intermediate CA left out": left_out,
            "revoked by an intermediate CA": self._between.issue(wish),
            "below a revoked CA": self._withdrawn.issue(wish),
            "below an expired CA": Authority(directory, "between-expired", root, expired=True).issue(wish),
            "below what is no CA": Authority(directory, "no-ca", root, ca=False).issue(wish),
            "below too long a path": Authority(directory, "too-long", short).issue(wish),
            "names against a constraint": limited.issue(wish),
            "names within a constraint": limited.issue(replace(wish, dns=["www.example.org"], ips=[])),
            "of an expired root": self._expired_root.issue(wish),
        }

    def _of_strangers(self) -> dict[str, Identity]:
        wish = self._wish
        elsewhere = self._directory / "impostor"
        elsewhere.mkdir()
        alone = self._stranger.issue(replace(wish, name="alone"))
        alone.cert.write_bytes(_pem(alone))
        return {
            "unknown CA": self._stranger.issue(replace(wish, name="stranger's")),
            "unknown CA, left out": alone,
            "a CA with the root's name": Authority(elsewhere, "root").issue(replace(wish, name="root's")),
            IMPOSTOR: self._stranger.issue(wish),
            "self-signed": self_signed(self._directory, client=wish.client),
        }

    def _files(self) -> dict[str, Path]:
        root, between, withdrawn = self._root, self._between, self._withdrawn
        found = self.identities

        def certificate(name: str) -> x509.Certificate:
            identity = found[name]
            assert identity is not None
            return identity.certificate

        lists = (
            root.revocations(certificate("revoked"), withdrawn.certificate),
            between.revocations(certificate("revoked by an intermediate CA")),
            withdrawn.revocations(),
        )
        roots = (root.ca_file.read_bytes(), self._expired_root.ca_file.read_bytes())
        leaves = [_pem(one) for name, one in found.items() if one is not None and name != IMPOSTOR]
        middle = between.ca_file.read_bytes()
        return {
            "ca": self._file("ca", *roots),
            "ca_path": self._path("ca", *roots),
            "ca_and_between": self._file("ca-and-between", *roots, middle),
            "between": self._file("only-between", middle),
            "strangers": self._file("strangers", self._stranger.ca_file.read_bytes()),
            "installed": self._file("installed", *leaves),
            "installed_path": self._path("installed", *leaves),
            "ca_and_installed": self._file("ca-and-installed", *roots, *leaves),
            "ca_and_installed_path": self._path("ca-and-installed", *roots, *leaves),
            "crl": self._file("crl", *lists),
            "crl_path": self._path("crl", *lists),
            "crl_of_root": self._file("crl-of-root", lists[0]),
            "crl_expired": self._file("crl-expired", root.revocations(start=-9, end=-1), *lists[1:]),
            "crl_of_stranger": self._file("crl-of-stranger", self._stranger.revocations()),
        }

    def _file(self, name: str, *content: bytes) -> Path:
        path = self._directory / f"{name}.list.pem"
        path.write_bytes(b"".join(content))
        return path

    def _path(self, name: str, *content: bytes) -> Path:
        directory = self._directory / f"{name}.d"
        directory.mkdir()
        for number, one in enumerate(content):
            (directory / f"{number}.pem").write_bytes(one)
        subprocess.run([needs.program("openssl"), "rehash", str(directory)], check=True, capture_output=True)
        return directory


def self_signed(directory: Path, *, client: bool) -> Identity:
    """A certificate for localhost, signed by its own key."""
    key, cert = directory / "self-signed.key", directory / "self-signed.crt"
    usage = "clientAuth" if client else "serverAuth"
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1,email:host@example.org"
    options = ["-addext", f"extendedKeyUsage={usage}", "-addext", "basicConstraints=CA:FALSE", "-addext", names]
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=loner"]
    argv = [needs.program("openssl"), "req", "-x509", *new, *options, "-keyout", str(key), "-out", str(cert)]
    subprocess.run(argv, check=True, capture_output=True)
    return Identity(cert=cert, key=key, pem=cert, certificate=x509.load_pem_x509_certificate(cert.read_bytes()))


def _pem(identity: Identity) -> bytes:
    return identity.certificate.public_bytes(Encoding.PEM)
