"""Passes cleartext HTTP/2 with prior knowledge (gRPC without TLS), which mitmproxy knows only inside TLS.

mitmproxy chooses between HTTP/1 and HTTP/2 by the ALPN of a connection, so both sides are told that they agreed on `h2`
as soon as the client's preface is seen. https://www.rfc-editor.org/rfc/rfc9113#section-3.4
"""

from __future__ import annotations

from mitmproxy.exceptions import AddonHalt
from mitmproxy.http import HTTPFlow
from mitmproxy.proxy.layer import NextLayer
from mitmproxy.proxy.layers import HttpLayer
from mitmproxy.proxy.layers.http import HTTPMode
from mitmproxy.proxy.layers.modes import HttpProxy
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_ENOUGH = b"PRI * HTTP/2.0"

_FRAME_HEADER = 9
"""Octets: length (3), type, flags, stream (4)."""

_OFFER = (b"upgrade", b"http2-settings")


def _is_settings(data: bytes) -> bool:
    """Whether a server begins with HTTP/2's SETTINGS frame, as it must: its type is 4, it is no acknowledgement, and it
    belongs to no stream. https://www.rfc-editor.org/rfc/rfc9113#section-3.4
    """
    return len(data) >= _FRAME_HEADER and data[3:_FRAME_HEADER] == b"\x04\x00\x00\x00\x00\x00"


class CleartextHTTP2:
    """Recognises the preface and speaks HTTP/2 to the server too."""

    def next_layer(self, nextlayer: NextLayer) -> None:
        """Looks at a connection's first bytes."""
        context = nextlayer.context
        if nextlayer.layer is not None or context.client.tls:
            return
        begun = nextlayer.data_client()[: len(_ENOUGH)]
        if begun and begun != _ENOUGH and _ENOUGH.startswith(begun):
            raise AddonHalt  # Nobody may decide yet; this is asked again when there is more.
        # A redirected connection is open on both sides, and the server's preface may be the first to come.
        if begun != _ENOUGH and (begun or not _is_settings(nextlayer.data_server())):
            return
        context.client.alpn = context.server.alpn = b"h2"
        if isinstance(context.layers[0], HttpProxy) and len(context.layers) > 1:
            # Inside CONNECT: the tunnelled bytes are requests to the tunnel's target.
            nextlayer.layer = HttpLayer(context, HTTPMode.transparent)

    def server_connected(self, data: ServerConnectionHookData) -> None:
        """A cleartext connection has no ALPN of its own: it speaks what the client speaks."""
        if data.client.alpn == b"h2" and not data.client.tls and not data.server.tls:
            data.server.alpn = b"h2"

    def requestheaders(self, flow: HTTPFlow) -> None:
        """Declines the offer to go on in HTTP/2, which a server is free to ignore: nothing after it could be audited.

        "A server that does not support "h2c" can ignore it", and a proxy has to remove both fields.
        https://www.rfc-editor.org/rfc/rfc7540#section-3.2
        """
        headers = flow.request.headers
        if not any(value == b"h2c" and name.lower() == b"upgrade" for name, value in headers.fields):
            return
        headers.fields = tuple(field for field in headers.fields if field[0].lower() not in _OFFER)
        options = [
            each for each in headers.get("connection", "").split(",") if each.strip().lower().encode() not in _OFFER
        ]
        headers["connection"] = ",".join(options)
        if not options:
            del headers["connection"]
