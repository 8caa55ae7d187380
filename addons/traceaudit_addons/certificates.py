"""Makes the bundle of roots that lets the service trust calls over TLS that pass through us.

The authority is made by mitmproxy in the user's data directory, its key with mode 0600; the system's own trust store is
never touched. Go reads ``SSL_CERT_FILE`` instead of the system's roots, so the bundle holds those too.
https://pkg.go.dev/crypto/x509#SystemCertPool
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from pathlib import Path

import certifi
from platformdirs import user_data_path

_AUTHORITY = "mitmproxy-ca-cert.pem"
_BUNDLE = "trusted-roots.pem"

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


def system_roots(environment: Mapping[str, str]) -> Path:
    """The file of roots that the service would have trusted without us."""
    named = environment.get("SSL_CERT_FILE")
    candidates = [named] if named else [*_ROOTS, ssl.get_default_verify_paths().cafile]
    for candidate in candidates:
        if candidate and Path(candidate).is_file():
            return Path(candidate)
    return Path(certifi.where())


def bundle(folder: Path, roots: Path) -> Path:
    """Writes the roots and our authority's certificate into one file; call it when the authority has been made."""
    path = folder / _BUNDLE
    content = roots.read_bytes().rstrip(b"\n") + b"\n" + (folder / _AUTHORITY).read_bytes()
    if not path.exists() or path.read_bytes() != content:
        fresh = folder / f"{_BUNDLE}.{os.getpid()}"
        fresh.write_bytes(content)
        fresh.replace(path)  # Another run may be reading it.
    return path
