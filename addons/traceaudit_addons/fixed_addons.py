"""Calls the addons' hooks without looking them up anew for every event.

mitmproxy walks all addons for each of the dozen events of an exchange, and triggers an `update` after each that only
its user interfaces hear. Here the addons do not change once the proxy runs, so who hears what is found out once; that
is a tenth of the CPU of an exchange. A hook may return what is to be awaited, or nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from inspect import isawaitable
from typing import Any

from mitmproxy.addonmanager import AddonManager
from mitmproxy.exceptions import AddonHalt
from mitmproxy.hooks import Hook

logger = logging.getLogger(__name__)


class FixedAddons(AddonManager):
    """A manager of addons that remembers the hooks of each event."""

    def __init__(self, master: object) -> None:
        super().__init__(master)  # type: ignore[no-untyped-call]  # mitmproxy's
        self._hearing: dict[str, list[Callable[..., Any]]] = {}

    def add(self, *addons: object) -> None:
        """Adds addons to the end of the chain; what was remembered is forgotten."""
        super().add(*addons)  # type: ignore[no-untyped-call]  # mitmproxy's
        self._hearing.clear()

    async def handle_lifecycle(self, event: Hook) -> None:
        """Triggers an event of a flow or a connection."""
        await self.trigger_event(event)

    async def trigger_event(self, event: Hook) -> None:
        """Calls every hook of an event in the order of the addons; an error in one is logged, and the others follow."""
        waiting = self.start(event)
        if waiting is not None:
            await waiting

    def start(self, event: Hook) -> Awaitable[None] | None:
        """Calls the hooks of an event up to one that waits; the rest is to be awaited. ``None``: there is none left."""
        hearing = self._hearing.get(event.name)
        if hearing is None:
            hearing = [hook for addon in self.chain for _, hook in self._iter_hooks(addon, event)]
            self._hearing[event.name] = hearing
        return self._call(event, hearing) if hearing else None

    def _call(self, event: Hook, hooks: Sequence[Callable[..., Any]]) -> Awaitable[None] | None:
        arguments = event.args()
        for position, hook in enumerate(hooks, 1):
            try:
                waiting = hook(*arguments)
            except AddonHalt:
                return None
            except Exception:
                _failed(event)
            else:
                if waiting is not None and isawaitable(waiting):
                    return self._go_on(event, waiting, hooks[position:])
        return None

    async def _go_on(self, event: Hook, waiting: Awaitable[None], rest: Sequence[Callable[..., Any]]) -> None:
        try:
            await waiting
        except AddonHalt:
            return
        except Exception:
            _failed(event)
        further = self._call(event, rest)
        if further is not None:
            await further


def _failed(event: Hook) -> None:
    logger.exception("an addon failed in %s; the traffic goes on", event.name)
