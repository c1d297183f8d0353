"""`CAstore`: a file or a directory of certificates as a URI (openssl-storeutl(1), ossl_store-file(7))."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from gtunnel.tls.setup import read_file, unreadable
from gtunnel.tls.site import Site

# A directory with more than this is not one of certificates to trust.
MAX_FILES = 4096


def store_path(uri: str) -> Path | None:
    """The file or directory that a URI names; None if it names something else. A path alone will do, too."""
    if uri.startswith("/") or ":" not in uri:
        return Path(uri)
    parts = urlsplit(uri)
    if parts.scheme != "file":
        return None
    return Path(unquote(parts.path)) if parts.netloc in ("", "localhost") else None


def store_files(path: Path, site: Site) -> list[Path]:
    """The files of certificates there: itself, or all in it that have some. Raises `TlsSetupError`."""
    try:
        if not path.is_dir():
            read_file("CAstore", str(path), site)
            return [path]
        return [file for file in sorted(path.iterdir())[:MAX_FILES] if file.is_file() and _has_certificates(file)]
    except OSError as error:
        raise unreadable("CAstore", str(path), error, site) from error


def _has_certificates(file: Path) -> bool:
    return b"-----BEGIN " in (content := file.read_bytes()) and b"CERTIFICATE-----" in content
