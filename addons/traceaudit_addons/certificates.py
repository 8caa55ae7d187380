"""Makes the bundle of roots that lets the service trust calls over TLS that pass through us.

The authority is made by mitmproxy in the user's data directory, its key with mode 0600; the system's own trust store is
never touched. Go reads ``SSL_CERT_FILE`` instead of the system's roots, so the bundle holds those too. Two runs at a
time may trust different roots, so that each has files of its own.
https://pkg.go.dev/crypto/x509#SystemCertPool
"""

from __future__ import annotations

import hashlib
import os
import ssl
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import certifi
from platformdirs import user_data_path

_AUTHORITY = "mitmproxy-ca-cert.pem"
_BEGIN = b"-----BEGIN CERTIFICATE-----"

_ROOTS = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Where Go looks, in its order. https://go.dev/src/crypto/x509/root_linux.go"""


def directory() -> Path:
    """The folder of our authority, made with mode 0700."""
    path = user_data_path("traceaudit", appauthor=False) / "authority"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def is_made(folder: Path) -> bool:
    """Whether there is an authority: the first run makes it."""
    return (folder / _AUTHORITY).exists()


def roots(environment: Mapping[str, str]) -> bytes:
    """The roots that the service would have trusted without us: a file's, and those of the directories that are named.

    Where none is named Go reads directories too, which hold the certificates of the file once more.
    """
    texts = [_roots_file(environment).read_bytes()]
    for folder in filter(None, environment.get("SSL_CERT_DIR", "").split(os.pathsep)):
        for path in sorted(Path(folder).glob("*")):
            with suppress(OSError):
                text = path.read_bytes()
                if _BEGIN in text:
                    texts.append(text)
    return b"".join(text.rstrip(b"\n") + b"\n" for text in texts)


def _roots_file(environment: Mapping[str, str]) -> Path:
    named = environment.get("SSL_CERT_FILE")
    candidates = [named] if named else [*_ROOTS, ssl.get_default_verify_paths().cafile]
    for candidate in candidates:
        if candidate and Path(candidate).is_file():
            return Path(candidate)
    return Path(certifi.where())


def written(folder: Path, trusted: bytes) -> Path:
    """A file of these roots, for who takes no other."""
    return _kept(folder, "roots", trusted)


def bundle(folder: Path, trusted: bytes) -> Path:
    """A file of these roots and our authority's certificate; call it when the authority has been made."""
    return _kept(folder, "bundle", trusted + (folder / _AUTHORITY).read_bytes())


def _kept(folder: Path, kind: str, content: bytes) -> Path:
    """A file that holds this content for as long as anybody may read it: its name is made of what it holds."""
    path = folder / f"{kind}-{hashlib.sha256(content).hexdigest()[:16]}.pem"
    if not path.exists():
        fresh = folder / f"{path.name}.{os.getpid()}"
        fresh.write_bytes(content)
        fresh.replace(path)
    return path
