"""What mitmproxy 12.2 does not know of HTTP/1: trailers, interim responses, early responses, half-closed connections.

Theory of operation. mitmproxy's HTTP layer has a connection object for each peer and a stream for each exchange, which
talk in events. The classes here take the place of mitmproxy's own (:func:`install`) and differ in this:

- A chunked body's trailers become the events that HTTP/2's are, instead of a crash that leaves both peers waiting.
- Interim responses (100, 102, 103) go straight from the server to the client. mitmproxy takes them for final ones, and
  answers ``Expect: 100-continue`` itself, so that a client sends a body which the service would have declined.
- The end of a response goes out when it is here, even if the request is still coming; mitmproxy keeps it back.
- A client that has closed its side after its request still gets the response, and the server sees the same: Go cancels
  the request's context then, and a response may follow or not. mitmproxy takes it for a client that is gone.
"""

from __future__ import annotations

import h11
from h11._readers import ChunkedReader
from mitmproxy.connection import ConnectionState
from mitmproxy.http import Headers, HTTPFlow
from mitmproxy.net.http import http1
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers import http
from mitmproxy.proxy.layers.http import _http1 as theirs
from mitmproxy.proxy.layers.http._base import HttpEvent, ReceiveHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestHeaders,
    RequestProtocolError,
    RequestTrailers,
    ResponseEndOfMessage,
    ResponseTrailers,
)

_SWITCHING = b"101"
_EXPECTED = b"100-continue"
_MARK = b" "


def install() -> None:
    """Has mitmproxy use these classes in every connection from now on."""
    for name, ours in (("Http1Server", Server), ("Http1Client", Client), ("HttpStream", Stream)):
        if not issubclass(ours, getattr(http, name)):
            raise TypeError(f"mitmproxy's {name} is another than addons/traceaudit_addons/http1.py was made for")
        setattr(http, name, ours)


class RequestHalfClosed(HttpEvent):
    """The client will send nothing more after this request, and waits for the response."""


class _Trailers(theirs.Http1Connection):
    """Either side's connection: reads trailers, and writes them behind the last chunk."""

    trailers: Headers | None = None
    """Those that go out at the end of the message that is under way."""
    ReceiveTrailers: type[RequestTrailers | ResponseTrailers]

    def read_body(self, event: events.Event) -> CommandGenerator[None]:
        """As mitmproxy's own, but for the trailers."""
        if not isinstance(event, events.DataReceived) or not isinstance(self.body_reader, ChunkedReader):
            yield from super().read_body(event)
            return
        assert self.stream_id is not None
        while True:
            try:
                part = self.body_reader(self.buf)
            except h11.ProtocolError as error:
                yield commands.CloseConnection(self.conn)
                message = f"HTTP/1 protocol error: {error}"
                yield ReceiveHttp(
                    self.ReceiveProtocolError(self.stream_id, message, code=self.ReceiveProtocolError.code)
                )
                return
            if part is None:
                return
            if isinstance(part, h11.Data):
                if part.data:
                    yield ReceiveHttp(self.ReceiveData(self.stream_id, bytes(part.data)))
                continue
            if part.headers:
                yield ReceiveHttp(self.ReceiveTrailers(self.stream_id, Headers(part.headers.raw_items())))
            yield ReceiveHttp(self.ReceiveEndOfMessage(self.stream_id))
            is_request = isinstance(self, theirs.Http1Server)
            yield from self.mark_done(request=is_request, response=not is_request)
            return

    def with_trailers(self, sending: CommandGenerator[None]) -> CommandGenerator[None]:
        """Puts the trailers there are behind the last chunk."""
        if self.trailers is None:
            yield from sending
            return
        lines = b"".join(b"%s: %s\r\n" % field for field in self.trailers.fields)
        self.trailers = None
        for command in sending:
            if isinstance(command, commands.SendData) and command.data == b"0\r\n\r\n":
                command.data = b"0\r\n" + lines + b"\r\n"
            yield command


class Server(_Trailers, theirs.Http1Server):
    """The connection that a client has made."""

    ReceiveTrailers = RequestTrailers
    ended = False
    """The response's end has gone out, and the request is still coming."""

    def send(self, event: HttpEvent) -> CommandGenerator[None]:
        """Sends a part of the response."""
        if isinstance(event, ResponseTrailers):
            self.trailers = event.trailers
            return
        if isinstance(event, ResponseEndOfMessage):
            if self.ended:
                self.ended = False
                yield from self.mark_done(response=True)
                return
            if not self.request_done:
                self.ended = True
                yield from self.with_trailers(self._end_of_response())
                return
        if self.trailers is None:
            yield from super().send(event)
        else:
            yield from self.with_trailers(super().send(event))

    def _end_of_response(self) -> CommandGenerator[None]:
        assert self.request is not None
        assert self.response is not None
        chunked = "chunked" in self.response.headers.get("transfer-encoding", "").lower()
        if chunked and self.request.method.upper() != "HEAD":
            yield commands.SendData(self.conn, b"0\r\n\r\n")
        elif http1.expected_http_body_size(self.request, self.response) == -1:
            yield commands.CloseConnection(self.conn)  # Only so does the client know that this was all.

    def wait(self, event: events.Event) -> CommandGenerator[None]:
        """A client that says nothing more after its request may still be listening."""
        half = self.conn.state is ConnectionState.CAN_WRITE and not self.conn.tls
        if isinstance(event, events.ConnectionClosed) and half:
            yield ReceiveHttp(RequestHalfClosed(self.stream_id))
        else:
            yield from super().wait(event)

    def mark_done(self, *, request: bool = False, response: bool = False) -> CommandGenerator[None]:
        """Ends the connection of a client that can send no further request."""
        yield from super().mark_done(request=request, response=response)
        if self.state == self.read_headers and not self.conn.state & ConnectionState.CAN_READ:
            yield commands.CloseConnection(self.conn)
            self.state = self.done


class Client(_Trailers, theirs.Http1Client):
    """A connection to a server."""

    ReceiveTrailers = ResponseTrailers

    def send(self, event: HttpEvent) -> CommandGenerator[None]:
        """Sends a part of the request."""
        if isinstance(event, RequestTrailers):
            self.trailers = event.trailers
            return
        if isinstance(event, RequestHeaders):
            headers = event.request.headers
            if any(value[-1:] == _MARK for _, value in headers.fields):
                headers.fields = tuple((name, value.removesuffix(_MARK)) for name, value in headers.fields)
        if self.trailers is None:
            yield from super().send(event)
        else:
            yield from self.with_trailers(super().send(event))

    def read_headers(self, event: events.ConnectionEvent) -> CommandGenerator[None]:
        """Passes interim responses on, until the final one comes."""
        while self.request is not None and self._interim():
            lines = self.buf.maybe_extract_lines()
            if lines is None:
                return
            # "A server MUST NOT send a 1xx response to an HTTP/1.0 client." RFC 9110, 15.2; HTTP/2 has its own.
            if self.request.http_version == "HTTP/1.1":
                yield commands.SendData(self.context.client, b"\r\n".join([*map(bytes, lines), b"", b""]))
            if not self.buf:
                return
        yield from super().read_headers(event)

    def _interim(self) -> bool:
        """Whether what has come begins with an interim response: ``HTTP/1.1 100``."""
        begun = bytes(self.buf)[:12]
        return begun[:7] == b"HTTP/1." and begun[9:10] == b"1" and begun[9:] != _SWITCHING


class Stream(http.HttpStream):
    """One exchange."""

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        if not isinstance(event, RequestHalfClosed):
            yield from super()._handle_event(event)
            return
        waiting = self.server_state in (self.state_wait_for_response_headers, self.state_stream_response_body)
        server = self.context.server
        if waiting and self.client_state == self.state_done and server.state is ConnectionState.OPEN and not server.tls:
            yield commands.CloseTcpConnection(server, half_close=True)
            return
        yield commands.CloseConnection(self.context.client)
        gone = RequestProtocolError(self.stream_id, "Client disconnected.", code=ErrorCode.CLIENT_DISCONNECTED)
        yield from super()._handle_event(gone)

    def send_response(self, already_streamed: bool = False) -> CommandGenerator[None]:
        """Ends the response at once, even if the request goes on."""
        yield from super().send_response(already_streamed)
        if self.server_state == self.state_done and self.client_state == self.state_stream_request_body:
            yield http.SendHttp(ResponseEndOfMessage(self.stream_id), self.context.client)


class Expectations:
    """Leaves it to the service whether it wants a body that its client asks about (``Expect: 100-continue``).

    mitmproxy answers such requests itself, unless it does not know the field for what it is: it is marked with a space
    here, which the connection to the server takes away again. HTTP/2 allows none, and is left to mitmproxy.
    """

    def requestheaders(self, flow: HTTPFlow) -> None:
        """Comes after everybody who looks at the request."""
        headers = flow.request.headers
        expects = [
            field for field in headers.fields if len(field[0]) == len(b"expect") and field[0].lower() == b"expect"
        ]
        if len(expects) == 1 and expects[0][1].lower() == _EXPECTED and not flow.request.is_http2:
            headers.fields = tuple(
                (field[0], field[1] + _MARK) if field is expects[0] else field for field in headers.fields
            )
