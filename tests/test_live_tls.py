"""Calls over TLS: decrypted with an authority that the service alone trusts, or left as they are, and that is said."""

from __future__ import annotations

import datetime
import hashlib
import http.client
import http.server
import sqlite3
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.addons.test_cleartext_http2 import packed, unpacked
from tests.live import UPSTREAM_NAME, Live, run, traceaudit
from tests.services import LOOPBACK, free_port, running
from tests.test_live_capture import needs_redirection
from traceaudit_addons import certificates
from traceaudit_addons.untouched import Reason, reason_for_all


def certificate(folder: Path, name: str = UPSTREAM_NAME) -> Path:
    """A certificate of a name, signed by itself, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / f"{name}.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return file


def fingerprint(file: Path) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(public(file))).hexdigest()


def public(file: Path) -> str:
    return file.read_text().partition("-----BEGIN PRIVATE KEY-----")[0]


class Server(http.server.ThreadingHTTPServer):
    shown: list[object]
    """What the clients of its requests have shown for a certificate."""


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        assert isinstance(self.connection, ssl.SSLSocket)
        self.server.shown.append(self.connection.getpeercert(binary_form=True))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def https_upstream(file: Path, clients: Path | None = None) -> Iterator[Server]:
    """``clients``: it wants a certificate of them, this one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients)
    server = Server((LOOPBACK, 0), Answers)
    server.shown = []
    # The handshake is made by the thread of the request, so that one that fails holds up nobody.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that gives up is no news
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Seen:
    """What is in the database of a run."""

    calls: list[tuple[object, ...]]
    findings: dict[str, str]


def seen(live: Live) -> Seen:
    database = sqlite3.connect(live.database)
    calls = database.execute(
        "select scheme, authority, path, http_version, status from exchanges where direction = 'outbound'"
    ).fetchall()
    findings = dict(database.execute("select code, message from findings"))
    database.close()
    return Seen(calls, findings)


def untouched(live: Live, reason: Reason, name: str = UPSTREAM_NAME, bypasses: int = 1) -> None:
    """Nothing was read, which was said once and makes the run inconclusive."""
    message = f"calls to {name} over TLS pass, and the audit does not see into them: {reason}"
    said = [line for line in "".join(live.said).splitlines() if "CP001" in line]
    assert len(said) == bypasses
    assert message in said[0]
    assert seen(live) == Seen([], {"CP001": message})
    assert live.status == 3
    assert reason.remedy in " ".join(live.output.split())


def call(live: Live) -> int:
    """The status that the service answers; one that is not expected is told with what went wrong."""
    connection = http.client.HTTPConnection(LOOPBACK, live.inbound, timeout=30)
    try:
        connection.request("GET", "/call")
        response = connection.getresponse()
        print(response.status, response.read().decode())  # pytest shows it where a test fails
        return response.status
    finally:
        connection.close()


captures = pytest.mark.parametrize("capture", ["env", pytest.param("redirect", marks=needs_redirection)])


@contextmanager
def calling(folder: Path, server: Server, *arguments: str, options: Sequence[str] = ()) -> Iterator[Live]:
    route = ["--route", f"{UPSTREAM_NAME}={LOOPBACK}:{server.server_port}", *options]
    with run(folder, "tlsclient", *arguments, url=f"https://{UPSTREAM_NAME}", options=route) as live:
        yield live


@pytest.mark.parametrize("by", ["file", "directory"])
def test_a_call_over_tls_is_audited(by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the user's own SSL_CERT_FILE or SSL_CERT_DIR trusts is trusted."""
    file = certificate(tmp_path)
    if by == "file":
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
    else:
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
        (tmp_path / "roots").mkdir()
        (tmp_path / "roots" / "upstream.crt").write_text(public(file))
        monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "roots"))
    with https_upstream(file) as server, calling(tmp_path, server) as live:
        assert call(live) == 200
    found = seen(live)
    assert found.calls == [("https", UPSTREAM_NAME, "/call", "HTTP/1.1", 200)]
    assert set(found.findings) >= {"TP001", "TP003", "TP004"}
    assert "CP001" not in found.findings
    authority = tmp_path / "data" / "traceaudit" / "authority"
    assert authority.stat().st_mode & 0o777 == 0o700
    assert (authority / "mitmproxy-ca.pem").stat().st_mode & 0o777 == 0o600


def test_a_call_in_http2_over_tls_stays_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port, roots = free_port(), tmp_path / "roots.pem"
    with running("backends", "-tls", f"{LOOPBACK}:{port}", "-roots", str(roots), "-name", UPSTREAM_NAME):
        monkeypatch.setenv("SSL_CERT_FILE", str(roots))
        route = ["--route", f"{UPSTREAM_NAME}={LOOPBACK}:{port}"]
        with run(tmp_path, "tlsclient", url=f"https://{UPSTREAM_NAME}", options=route) as live:
            assert call(live) == 200
    assert seen(live).calls == [("https", UPSTREAM_NAME, "/call", "HTTP/2.0", 200)]


@captures
def test_grpc_calls_over_tls_are_audited(capture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, name = certificate(tmp_path), f"{UPSTREAM_NAME}:50051"
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with running("grpc", "-certificate", str(file)) as shop:
        options = ["--capture", capture]
        with (
            run(tmp_path, "grpc", upstream=shop, url=f"https://{name}", options=options) as live,
            grpc.insecure_channel(f"{LOOPBACK}:{live.inbound}") as channel,
        ):
            for method in ("Forward", "Drop"):
                asked = channel.unary_unary(f"/shop.v1.Shop/{method}", packed, unpacked)
                assert asked("tea", timeout=30) == "re: tea"
    found = seen(live)
    assert found.calls == [("https", name, "/shop.v1.Shop/Echo", "HTTP/2.0", 0)] * 2
    assert set(found.findings) == {"TP001", "TP003", "TP004"}
    assert live.status == 0


def test_a_call_over_tls_to_a_listener_of_its_upstream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, listen = certificate(tmp_path, "localhost"), free_port()
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with https_upstream(file) as server:
        options = ["--upstream", f"pricing={listen}:{server.server_port}"]
        with run(tmp_path, "tlsclient", url=f"https://localhost:{listen}", options=options) as live:
            assert call(live) == 200
    assert seen(live).calls == [("https", "pricing", "/call", "HTTP/1.1", 200)]


@captures
def test_an_upstream_that_asks_for_a_certificate_is_left_alone(
    capture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, mine = certificate(tmp_path), certificate(tmp_path, "client.test")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with https_upstream(file, clients=mine) as server:
        with calling(tmp_path, server, "-certificate", str(mine), options=["--capture", capture]) as live:
            for _ in range(3):
                assert call(live) == 200
        assert server.shown == [ssl.PEM_cert_to_DER_cert(public(mine))] * 3
    untouched(live, Reason.CLIENT_CERTIFICATE)


@captures
def test_a_client_with_roots_of_its_own_is_left_alone(
    capture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    file = certificate(tmp_path)
    with (
        https_upstream(file) as server,
        calling(tmp_path, server, "-roots", str(file), options=["--capture", capture]) as live,
    ):
        assert call(live) == 200
    untouched(live, Reason.NOT_TRUSTED)


@captures
def test_a_client_that_trusts_nobody_still_does_not(
    capture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with (
        https_upstream(certificate(tmp_path)) as server,
        calling(tmp_path, server, options=["--capture", capture]) as live,
    ):
        assert call(live) == 502
        assert server.shown == []
    untouched(live, Reason.NOT_TRUSTED)


@captures
def test_a_client_that_pins_a_certificate_is_left_alone_once_it_is_known(
    capture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with (
        https_upstream(file) as server,
        calling(tmp_path, server, "-pin", fingerprint(file), options=["--capture", capture]) as live,
    ):
        assert [call(live) for _ in range(3)] == [502, 200, 200]
    untouched(live, Reason.REFUSED)
    assert any("from now on its calls pass" in line for line in live.said)


def test_tls_is_left_alone_where_go_cannot_be_told_to_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    arguments = ("-pin", fingerprint(file))
    with https_upstream(file) as server, calling(tmp_path, server, *arguments, options=["--tls", "pass"]) as live:
        assert call(live) == 200
    untouched(live, Reason.CHOSEN)


def test_an_upstream_over_tls_that_cannot_be_reached_is_recorded_with_its_error(tmp_path: Path) -> None:
    route = ["--route", f"{UPSTREAM_NAME}={LOOPBACK}:1"]
    with run(tmp_path, "tlsclient", url=f"https://{UPSTREAM_NAME}", options=route) as live:
        assert call(live) == 502
    assert "CP001" not in seen(live).findings
    traceaudit("check", live.database, cwd=tmp_path, check=None)


@pytest.mark.parametrize(
    ("setting", "platform", "reason"),
    [
        ("auto", "linux", None),
        ("auto", "freebsd14", None),
        ("auto", "darwin", Reason.PLATFORM),
        ("auto", "win32", Reason.PLATFORM),
        ("decrypt", "darwin", None),
        ("pass", "linux", Reason.CHOSEN),
    ],
)
def test_what_is_decrypted_by_default(setting: str, platform: str, reason: Reason | None) -> None:
    assert reason_for_all(setting, platform) is reason


def test_two_runs_that_trust_different_roots_have_different_files(tmp_path: Path) -> None:
    first, second = (certificate(tmp_path, name) for name in ("one.test", "two.test"))
    (tmp_path / "mitmproxy-ca-cert.pem").write_text("ours\n")
    bundles = [
        certificates.bundle(tmp_path, certificates.roots({"SSL_CERT_FILE": str(file)})) for file in (first, second)
    ]
    assert [bundle.read_bytes() for bundle in bundles] == [file.read_bytes() + b"ours\n" for file in (first, second)]
