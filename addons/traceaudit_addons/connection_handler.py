"""Handles the events of a connection with as few tasks and system calls as it takes.

Theory of operation. mitmproxy's handler starts a task for each of the dozen hooks of an exchange, each of which waits
for a lock to tell the layers that the hook is done; and it writes every piece by itself, a response in three. Here a
hook that does not wait is called at once, what follows from an event is handled in the same turn, in the order in which
mitmproxy would, and what a turn has for a connection is written together.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Coroutine

from mitmproxy.connection import Connection
from mitmproxy.http import MessageData
from mitmproxy.proxy import commands, events, mode_servers
from mitmproxy.proxy.mode_servers import ProxyConnectionHandler
from mitmproxy.proxy.server import ConnectionIO
from mitmproxy.utils import asyncio_utils

from traceaudit_addons.fixed_addons import FixedAddons

logger = logging.getLogger(__name__)


def install() -> None:
    """Has mitmproxy handle every connection like this from now on."""
    mode_servers.ProxyConnectionHandler = Handler  # type: ignore[misc]  # there is no other way to name it
    # It looks at the types of a message's parts, which we never change, at a twentieth of the CPU of an exchange.
    MessageData.__post_init__ = lambda _: None  # type: ignore[method-assign]


class Handler(ProxyConnectionHandler):
    """A client's connection, and those to servers that are opened for it."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[no-untyped-call]  # mitmproxy's
        assert isinstance(self.master.addons, FixedAddons)
        self._addons = self.master.addons
        self._events: deque[events.Event] = deque()
        self._handling = False
        self._unsent: dict[Connection, list[bytes]] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def server_event(self, event: events.Event) -> None:
        """Takes an event; all that follows from it has happened on return, but for what waits for something."""
        self._events.append(event)
        if self._handling:
            return
        self._handling = True
        self.timeout_watchdog.register_activity()
        try:
            while self._events:
                self._handle(self._events.popleft())
        finally:
            self._handling = False
            for connection in list(self._unsent):
                self._flush(connection)

    def _handle(self, event: events.Event) -> None:
        try:
            for command in self.layer.handle_event(event):
                self._obey(command)
        except Exception:
            logger.exception("mitmproxy has crashed!")

    def _obey(self, command: commands.Command) -> None:
        if isinstance(command, commands.SendData):
            if command.connection in self.transports:
                self._unsent.setdefault(command.connection, []).append(command.data)
        elif isinstance(command, commands.StartHook):
            self._hook(command)
        elif isinstance(command, commands.Log):
            if logger.isEnabledFor(command.level):
                self.log(command.message, command.level)
        elif isinstance(command, commands.OpenConnection):
            name = f"server connection handler {command.connection.address}"
            handler = self._task(self.open_connection(command), name)
            self.transports[command.connection] = ConnectionIO(handler=handler)
        elif isinstance(command, commands.RequestWakeup):
            self.wakeup_timer.add(self._task(self.wakeup(command), "wakeup timer"))
        elif isinstance(command, commands.CloseConnection):
            if command.connection in self.transports:
                self._flush(command.connection)
                half = isinstance(command, commands.CloseTcpConnection) and command.half_close
                self.close_connection(command.connection, half)
        else:
            raise TypeError(f"an unexpected command: {command}")

    def _task(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio_utils.create_task(
            work, name=name, keep_ref=False, client=self.client.peername
        )
        return task

    def _hook(self, hook: commands.StartHook) -> None:
        waiting = self._addons.start(hook)
        if waiting is not None:
            task = asyncio.create_task(self._complete(hook, waiting))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        elif hook.blocking:
            self._events.append(events.HookCompleted(hook))

    async def _complete(self, hook: commands.StartHook, waiting: Awaitable[None]) -> None:
        with self.timeout_watchdog.disarm():
            await waiting
        if hook.blocking:
            await self.server_event(events.HookCompleted(hook))

    def _flush(self, connection: Connection) -> None:
        pieces = self._unsent.pop(connection, None)
        transport = self.transports.get(connection)
        if pieces and transport is not None and transport.writer is not None and not transport.writer.is_closing():
            transport.writer.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))
