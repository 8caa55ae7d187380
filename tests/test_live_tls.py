"""Calls over TLS: decrypted with an authority that the service alone trusts, and verified as the service would have."""

from __future__ import annotations

import datetime
import http.server
import sqlite3
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.live import UPSTREAM_NAME, run
from tests.services import LOOPBACK


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of the upstream's name, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, UPSTREAM_NAME)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(UPSTREAM_NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "upstream.pem", folder / "upstream.key"
    certificate_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def https_upstream(certificate_file: Path, key_file: Path) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_file, key_file)
    server = http.server.ThreadingHTTPServer((LOOPBACK, 0), Answers)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("trusted", [True, False])
def test_a_call_over_tls_is_audited_and_its_upstream_verified_as_before(
    trusted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the user's own SSL_CERT_FILE trusts is trusted, and what it does not is not."""
    files = certificate(tmp_path)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(files[0]))
    else:
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with https_upstream(*files) as port:
        route = ["--route", f"{UPSTREAM_NAME}={LOOPBACK}:{port}"]
        with run(tmp_path, "nethttp", url=f"https://{UPSTREAM_NAME}", options=route) as live:
            assert live.get("/drop/17") == (200 if trusted else 502)
    database = sqlite3.connect(live.database)
    calls = database.execute(
        "select scheme, authority, path, status from exchanges where direction = 'outbound'"
    ).fetchall()
    codes = {row[0] for row in database.execute("select code from findings")}
    database.close()
    if trusted:
        assert calls == [("https", UPSTREAM_NAME, "/drop/17", 200)]
        assert {"TP001", "TP003", "TP004"} <= codes
    authority = tmp_path / "data" / "traceaudit" / "authority"
    assert (authority / "mitmproxy-ca.pem").stat().st_mode & 0o077 == 0
    assert files[0].read_bytes().strip() not in (authority / "mitmproxy-ca.pem").read_bytes()
