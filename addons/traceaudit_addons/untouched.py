"""Decides which connections over TLS are decrypted, and lets the others pass as they are.

Theory of operation. To decrypt a connection is to stand between two peers who each must take us for the other. Where
that cannot work, or would change what the service sees, the bytes pass untouched, and it is told why:

- The upstream asks for the client's certificate (mutual TLS), which only the service has.
- The upstream's certificate is not trusted by the roots that the service was started with. Either the service has roots
  of its own, and would not trust us, or it verifies nothing, or it refuses: that is left to the service.
- The service has refused our certificate (it pins the upstream's). This is known only when it has happened once.
- The service would refuse it anyhow, since Go reads no ``SSL_CERT_FILE`` on this platform.

The first two are found out ahead of the first connection to an upstream, by a handshake of our own.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path

from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import NextLayer
from mitmproxy.proxy.layers import ClientTLSLayer, HttpLayer, ServerTLSLayer
from mitmproxy.proxy.layers.http import HTTPMode
from mitmproxy.proxy.layers.modes import ReverseProxy
from mitmproxy.tls import ClientHelloData, TlsData
from OpenSSL import SSL

logger = logging.getLogger(__name__)

_HANDSHAKE_S = 5.0
"""A handshake takes a few round trips; what takes longer is decrypted, and fails or not as it would."""

_REFUSALS = ("unknown ca", "bad certificate", "certificate unknown")
"""The alerts of a client that does not trust a certificate. https://www.rfc-editor.org/rfc/rfc8446#section-6.2"""

type Upstream = tuple[str, int, str]
"""Host, port and the name that the client asks for."""


class Reason(StrEnum):
    """Why a connection is not decrypted."""

    CLIENT_CERTIFICATE = "it asks for a client's certificate (mutual TLS)"
    NOT_TRUSTED = "its certificate is not trusted by the roots that the service was started with"
    REFUSED = "the service does not trust the audit's certificate: it pins another, or has roots of its own"
    PLATFORM = "on this platform Go does not read SSL_CERT_FILE, so the service would not trust the audit's certificate"
    CHOSEN = "--tls pass leaves calls over TLS alone"

    @property
    def remedy(self) -> str:
        """What makes the calls audited."""
        return {
            Reason.CLIENT_CERTIFICATE: "call it without TLS here; in the mesh, mutual TLS is the sidecars' part",
            Reason.NOT_TRUSTED: "call it without TLS here, or name its authority in SSL_CERT_FILE and nowhere else",
            Reason.REFUSED: "call it without TLS here, or let the client take its roots from SSL_CERT_FILE",
            Reason.PLATFORM: "call it without TLS here, or run the service and the audit in a Linux container",
            Reason.CHOSEN: "call it without TLS here, or use --tls decrypt",
        }[self]


def reason_for_all(setting: str, platform: str = sys.platform) -> Reason | None:
    """Why no connection at all is decrypted; ``None``: each is looked at.

    "On Unix systems other than macOS the environment variables SSL_CERT_FILE and SSL_CERT_DIR can be used".
    https://pkg.go.dev/crypto/x509#SystemCertPool
    """
    if setting == "pass":
        return Reason.CHOSEN
    if setting == "auto" and platform in ("darwin", "win32"):
        return Reason.PLATFORM
    return None


class Untouched:
    """The decision. ``tell`` hears of every connection that passes untouched: to which authority, and why."""

    def __init__(self, tell: Callable[[str, Reason], None], trusted: Path, for_all: Reason | None = None) -> None:
        """``trusted``: the roots that the service was started with; ``for_all``: why nothing is to be decrypted."""
        self._tell = tell
        self._trusted = trusted
        self._for_all = for_all
        self._known: dict[Upstream, Reason | None] = {}
        self._asking: dict[Upstream, asyncio.Task[Reason | None]] = {}

    def next_layer(self, nextlayer: NextLayer) -> None:
        """TLS that comes in at a listener in front of something is TLS that this something speaks."""
        context = nextlayer.context
        reverse = len(context.layers) == 1 and isinstance(context.layers[0], ReverseProxy)
        if nextlayer.layer is not None or not reverse or not starts_like_tls_record(nextlayer.data_client()):
            return
        nextlayer.layer = server = ServerTLSLayer(context)
        server.child_layer = client = ClientTLSLayer(context)
        client.child_layer = HttpLayer(context, HTTPMode.transparent)

    async def tls_clienthello(self, data: ClientHelloData) -> None:
        """A client begins a handshake."""
        context = data.context
        if not context.server.tls or context.server.address is None:
            return
        # What the upstream agrees to (HTTP/2 or not) is what the client is to be offered.
        data.establish_server_tls_first = True
        host, port = context.server.address[:2]
        name = data.client_hello.sni or host
        reason = self._for_all or await self._reason((host, port, name), context)
        if reason is not None:
            data.ignore_connection = True
            self._tell(name if data.client_hello.sni else f"{host}:{port}", reason)

    def tls_failed_client(self, data: TlsData) -> None:
        """A client has broken a handshake off."""
        address, error = data.context.server.address, data.conn.error or ""
        if address is None or not data.context.server.tls or not any(each in error for each in _REFUSALS):
            return
        host, port = address[:2]
        name = data.conn.sni or host
        if self._known.get((host, port, name)) is None:
            self._known[host, port, name] = Reason.REFUSED
            logger.warning("the service refused the audit's certificate for %s; from now on its calls pass", name)
            self._tell(name if data.conn.sni else f"{host}:{port}", Reason.REFUSED)

    async def _reason(self, upstream: Upstream, context: Context) -> Reason | None:
        if upstream in self._known:
            return self._known[upstream]
        asking = self._asking.get(upstream)
        if asking is None:
            asking = self._asking[upstream] = asyncio.create_task(self._ask(upstream, context))
        return await asyncio.shield(asking)

    async def _ask(self, upstream: Upstream, context: Context) -> Reason | None:
        """What an upstream's handshake shows; it is asked again next time if there is none."""
        host, port, name = upstream
        try:
            handshake = _Handshake(name, self._trusted, context.client.alpn_offers)
            async with asyncio.timeout(_HANDSHAKE_S):
                reason = await handshake.with_server(host, port)
        except (OSError, SSL.Error):
            return None  # Unreachable, or no TLS: the call fails, and is recorded with its error.
        except Exception:
            logger.exception("%s could not be looked at; its calls are decrypted", name)
            return None
        finally:
            self._asking.pop(upstream, None)
        return self._known.setdefault(upstream, reason)


class _Handshake:
    """A handshake of our own with an upstream, as mitmproxy would make it, to see what it asks for."""

    def __init__(self, name: str, trusted: Path, alpn: Sequence[bytes]) -> None:
        self._asked_for_certificate = False
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_verify(SSL.VERIFY_PEER)
        context.load_verify_locations(str(trusted))
        context.set_info_callback(self._step)
        self._tls = SSL.Connection(context)
        self._tls.set_connect_state()
        if alpn:
            self._tls.set_alpn_protos(list(alpn))
        # pyOpenSSL has no other way to have the name verified, nor has mitmproxy.
        library, verified = SSL._lib, SSL._lib.SSL_get0_param(self._tls._ssl)  # type: ignore[attr-defined]
        try:
            address = ipaddress.ip_address(name).packed
        except ValueError:
            host = name.encode("idna")
            self._tls.set_tlsext_host_name(host)
            library.X509_VERIFY_PARAM_set1_host(verified, host, len(host))
        else:
            library.X509_VERIFY_PARAM_set1_ip(verified, address, len(address))

    def _step(self, tls: SSL.Connection, _where: int, _result: int) -> None:
        if b"certificate request" in tls.get_state_string():
            self._asked_for_certificate = True

    async def with_server(self, host: str, port: int) -> Reason | None:
        """Why an upstream's connections are better left alone. Raises OSError, SSL.Error."""
        tls = self._tls
        reader, writer = await asyncio.open_connection(host, port)
        try:
            while True:
                try:
                    tls.do_handshake()
                except SSL.WantReadError:
                    self._flush(writer)
                    data = await reader.read(65536)
                    if not data:
                        raise ConnectionError("the handshake was broken off") from None
                    tls.bio_write(data)
                except SSL.Error as error:
                    if self._asked_for_certificate:
                        return Reason.CLIENT_CERTIFICATE
                    if "certificate verify failed" in str(error):
                        return Reason.NOT_TRUSTED
                    raise
                else:
                    self._flush(writer)
                    return Reason.CLIENT_CERTIFICATE if self._asked_for_certificate else None
        finally:
            writer.close()

    def _flush(self, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                writer.write(self._tls.bio_read(65536))
            except SSL.WantReadError:
                return
