"""The inspector in a browser: served by textual-serve on 127.0.0.1, to whoever has the address that was printed, once.

Theory of operation. The address carries a token that is good for one request; it is exchanged for a cookie, and all
else (the page, its files, the terminal's WebSocket) is given to that cookie alone. Other sites that are open in the
same browser can send requests to 127.0.0.1, too: ``Host`` and ``Origin`` have to be ours, the cookie is
``SameSite=Strict``, and the page may load nothing from elsewhere. Each page starts an inspector of its own, as a
process.
"""

from __future__ import annotations

import hmac
import secrets
import shlex
import socket
import sys
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from textual_serve.server import Server

HOST = "127.0.0.1"
COOKIE = "traceaudit"
TOKEN_BYTES = 32


class InspectorServer(Server):
    """Serves one database."""

    def __init__(self, path: Path, port: int) -> None:
        """At a port of 127.0.0.1; 0: any that is free. Raises OSError where it is taken."""
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((HOST, port))
        self._socket.listen()  # before the address is printed, so that it can be opened at once
        bound = int(self._socket.getsockname()[1])
        command = shlex.join([sys.executable, "-m", "traceaudit", "tui", str(path.absolute())])
        super().__init__(command, host=HOST, port=bound, title="traceaudit")
        self._token: str | None = secrets.token_urlsafe(TOKEN_BYTES)
        self._session = secrets.token_urlsafe(TOKEN_BYTES)

    @property
    def address(self) -> str:
        """What is opened in the browser, once."""
        return f"{self.public_url}/?token={self._token}"

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.append(self._guard)
        return app

    async def on_startup(self, app: web.Application) -> None:  # noqa: ARG002 -- its base's
        """Says where it is."""
        print(f"The inspector is at {self.address}", file=sys.stderr)
        print("The address is good for one browser, once. Ctrl-C ends it.", file=sys.stderr, flush=True)

    def serve(self, debug: bool = False) -> None:  # noqa: ARG002 -- its base's
        """Until Ctrl-C."""
        web.run_app(self._make_app(), sock=self._socket, print=None, access_log=None)

    @property
    def _guard(self) -> Middleware:
        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            ours = f"{HOST}:{self.port}"
            if request.headers.get("Host") != ours or request.headers.get("Origin", self.public_url) != self.public_url:
                raise web.HTTPForbidden(text="This is not the address that was printed.")
            given = request.query.get("token")
            if given is not None and request.path == "/":
                return self._exchange(given)
            if not hmac.compare_digest(request.cookies.get(COOKIE, "").encode(), self._session.encode()):
                raise web.HTTPForbidden(text="Open the address that was printed; it is good for one browser, once.")
            # A WebSocket's headers have gone when its handler returns.
            response = await handler(request)
            if not response.prepared:
                response.headers.update(self._headers(ours))
            return response

        return guard

    def _exchange(self, given: str) -> web.Response:
        token, self._token = self._token, None
        if token is None or not hmac.compare_digest(given.encode(), token.encode()):
            self._token = token  # guessing does not use it up
            raise web.HTTPForbidden(text="This address has been used already: start the inspector again.")
        response = web.Response(status=303, headers={"Location": "/", "Referrer-Policy": "no-referrer"})
        response.set_cookie(COOKIE, self._session, httponly=True, samesite="Strict", path="/")
        return response

    @staticmethod
    def _headers(ours: str) -> dict[str, str]:
        policy = (
            "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline';"
            f" img-src 'self' data:; font-src 'self' data:; connect-src 'self' ws://{ours}; frame-ancestors 'none'"
        )
        return {
            "Content-Security-Policy": policy,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }


def serve(path: Path, port: int) -> int:
    """Serves a database until Ctrl-C; the exit status. What is wrong is said on standard error."""
    try:
        server = InspectorServer(path, port)
    except OSError as error:
        print(f"traceaudit: port {port} of {HOST} cannot be had: {error.strerror}.", file=sys.stderr)
        return 2
    server.serve()
    return 0
