"""Lets what is no HTTP pass untouched: databases, brokers, and whatever else a service says over TCP.

mitmproxy takes every first line with a space in it for a request, and answers that itself where it is none: `HELO
shop.test`, `get key`. Here it takes a request line to be a request. Where the server speaks first, or what the client
says first cannot become such a line any more, the bytes pass as they are, and are told of.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from mitmproxy.exceptions import AddonHalt
from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy.layer import NextLayer
from mitmproxy.proxy.layers import TCPLayer
from mitmproxy.proxy.layers.modes import HttpProxy, TransparentProxy

from traceaudit.listeners import Address
from traceaudit.protocols import BY_PORT

_REQUEST_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ .* ?HTTP/[0-9]\.[0-9]")
"""What is wrong between method and version is for the server to say.
https://www.rfc-editor.org/rfc/rfc9112#section-3"""

_BEGINNING = re.compile(rb"[A-Z][A-Z-]* +([/*]|https?://|[^ ]*:[0-9])|CONNECT ")
"""Of a request line that is too long for one segment: a target's path, `*`, a whole URL, or a host and port."""

_METHODS = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"PATCH ", b"DELETE ", b"OPTIONS ", b"TRACE ", b"CONNECT ")


def is_request(begun: bytes) -> bool | None:
    """Whether a client begins to speak HTTP/1; ``None``: that cannot be told yet."""
    begun = begun.lstrip(b"\r\n")
    line, end, _ = begun.partition(b"\n")
    if end:
        return _REQUEST_LINE.fullmatch(line.rstrip(b"\r")) is not None
    if _BEGINNING.match(line):
        return True
    return None if any(each.startswith(line) for each in _METHODS) else False


class OtherProtocols:
    """``tell`` hears of every connection that passes unread because it is no HTTP: where it goes."""

    def __init__(self, tell: Callable[[Address], None]) -> None:
        self._tell = tell

    def next_layer(self, nextlayer: NextLayer) -> None:
        """Looks at what was said first on a redirected connection, or in a tunnel, inside of TLS too."""
        context = nextlayer.context
        mode = context.layers[0]
        redirected = isinstance(mode, TransparentProxy)
        if nextlayer.layer is not None or not (redirected or (isinstance(mode, HttpProxy) and len(context.layers) > 1)):
            return
        to = context.server.address
        known = redirected and to is not None and to[1] in BY_PORT
        if not known:
            said, answered = nextlayer.data_client(), nextlayer.data_server()
            if context.client.alpn or starts_like_tls_record(said) or not (said or answered):
                return
            http = False if answered else is_request(said)
            if http is None:
                raise AddonHalt  # Nobody may decide yet; this is asked again when there is more.
            if http:
                return
        nextlayer.layer = TCPLayer(context, ignore=True)
        if to is not None:
            self._tell(Address(*to[:2]))
