"""The inspector in a browser: given to whoever has the printed address, once, and to no other site."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

aiohttp = pytest.importorskip("aiohttp")
pytest.importorskip("textual_serve")

CHROMIUM = next((found for name in ("chromium", "chromium-browser") if (found := shutil.which(name))), None)


@pytest.fixture
def address(audit_db: Path) -> Iterator[str]:
    """What `traceaudit tui --web` prints."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}
    environment.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "traceaudit", "tui", str(audit_db), "--web"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stderr is not None
            yield process.stderr.readline().split()[-1]
        finally:
            process.terminate()


async def test_the_address_is_good_once_and_nothing_else_is(address: str) -> None:
    base, _, token = address.partition("/?token=")
    assert base.startswith("http://127.0.0.1:")
    assert len(token) >= 40
    async with aiohttp.ClientSession() as stranger:
        for path in ("/", "/ws", "/static/js/textual.js", "/?token=", "/?token=wrong", f"/ws?token={token}"):
            async with stranger.get(base + path) as response:
                assert response.status == 403, path
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as owner:
        async with owner.get(address, headers={"Host": "evil.example"}) as response:
            assert response.status == 403
        async with owner.get(address) as response:
            page = await response.text()
            assert (response.status, str(response.url)) == (200, base + "/")
            assert token not in page
            assert "connect-src 'self' ws://127.0.0.1" in response.headers["Content-Security-Policy"]
        async with owner.get(base + "/static/js/textual.js") as response:
            assert response.status == 200
        async with owner.get(base + "/", headers={"Origin": "http://evil.example"}) as response:
            assert response.status == 403
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await owner.ws_connect(base + "/ws", origin="http://evil.example")
    async with aiohttp.ClientSession() as second, second.get(address) as response:
        assert response.status == 403
        assert "has been used already" in await response.text()


async def test_the_inspector_comes_through_and_answers(address: str) -> None:
    base = address.partition("/?")[0]
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as owner:
        await (await owner.get(address)).read()
        async with owner.ws_connect(base + "/ws?width=100&height=30", origin=base) as terminal:
            seen = b""
            for waited, key in ((b"inventory GET", "2"), (b"traceparent-dropped", "")):
                while waited not in seen:
                    message = await terminal.receive(timeout=60)
                    assert message.type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT), seen[-500:]
                    seen += message.data if isinstance(message.data, bytes) else message.data.encode()
                if key:
                    await terminal.send_json(["stdin", key])


async def test_a_browser_shows_it(address: str, tmp_path: Path) -> None:
    """Nothing that the page's policy forbids is missing from it."""
    assert CHROMIUM is not None, "this needs a browser: Debian's package chromium"
    profile = tmp_path / "profile"
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
    command += ["--remote-debugging-port=0", "--window-size=1200,800", address]
    with subprocess.Popen(  # noqa: ASYNC220 -- nothing else runs meanwhile
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as browser:
        try:
            assert browser.stderr is not None
            line = next(line for line in browser.stderr if line.startswith("DevTools listening on"))
            port = line.rpartition(":")[2].partition("/")[0]
            async with aiohttp.ClientSession() as session:
                page = Page(session)
                await page.open(f"http://127.0.0.1:{port}")
                while not await page.value("document.body && document.body.classList.contains('-first-byte')"):
                    pass
                await page.value("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
                assert await page.value("document.querySelector('.xterm-screen canvas, .xterm-rows') !== null")
                assert await page.value("location.search") == ""
        finally:
            browser.terminate()


class Page:
    """The one page of a browser, by its debugging protocol. https://chromedevtools.github.io/devtools-protocol/"""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._number = 0

    async def open(self, base: str) -> None:
        while True:
            async with self._session.get(f"{base}/json/list") as response:
                pages = [each for each in await response.json() if each["type"] == "page"]
            if pages:
                break
        self._socket = await self._session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0)

    async def send(self, method: str, **parameters: object) -> Any:
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        while True:
            answer = await self._socket.receive_json(timeout=60)
            if answer.get("id") == self._number:
                return answer["result"]

    async def value(self, expression: str) -> Any:
        """What a script in the page comes to."""
        answer = await self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        return answer["result"].get("value")
