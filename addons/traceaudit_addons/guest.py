"""The audit as a guest in a mitmproxy of the user's own (`mitmdump -s addons/traceaudit_addon.py`).

The first reverse proxy among its modes is in front of the service, every other listener is behind it. Settings come
from `traceaudit.toml` and `TRACEAUDIT_*` as for the commands.
"""

from __future__ import annotations

from pathlib import Path

from mitmproxy import ctx
from mitmproxy.addonmanager import Loader

from traceaudit import listeners
from traceaudit.audit import Audit
from traceaudit.capture.inference import Here
from traceaudit.config import load
from traceaudit.store.writer import AuditWriter
from traceaudit_addons.directions import Directions
from traceaudit_addons.minting import formats_to_mint
from traceaudit_addons.recorder import LOCK_PATIENCE_MS, Clock, Recorder
from traceaudit_addons.service_names import ServiceNames
from traceaudit_addons.streaming import Streaming


class Guest:
    """Builds the audit when the proxy runs, and settles it when the proxy ends."""

    def __init__(self) -> None:
        self.addons: list[object] = []
        self._clock = Clock()
        self._audit: Audit | None = None
        self._writer: AuditWriter | None = None

    def load(self, loader: Loader) -> None:
        """Our one option; everything else is in the configuration."""
        loader.add_option("traceaudit_db", str, "", "The audit database (default: as configured, else audit.db).")

    def running(self) -> None:
        """The proxy's modes are known now, and no request has come yet."""
        if self._writer is not None:
            return
        # Else an upstream that cannot be reached leaves no trace, and the service sees a changed Host.
        ctx.options.update(connection_strategy="lazy", keep_host_header=True)
        settings = load({"db": ctx.options.traceaudit_db or None})
        directions = Directions.of_modes(ctx.options.mode)
        now_ns = self._clock.now_ns()
        self._audit = Audit(settings.audit_settings())
        self._audit.advance(now_ns)
        self._writer = AuditWriter(
            Path(settings.db),
            started_ns=now_ns,
            command="mitmproxy",
            service=", ".join(ctx.options.mode),
            settings=settings.as_json(),
            redact=settings.redact,
            patience_ms=LOCK_PATIENCE_MS,
        )
        mint = formats_to_mint(settings.require, settings.mint)
        names = ServiceNames({name: listeners.address(text) for name, text in settings.routes.items()}, directions)
        recorder = Recorder(self._audit, self._writer, directions, self._clock, mint_formats=mint)
        self.addons += [Streaming(), recorder, names]

    def done(self) -> None:
        """Weighs the findings by all that was seen, and closes the database."""
        if self._audit is None or self._writer is None:
            return
        self._audit.finish()
        try:
            # Here and now: nobody's traffic waits any more, and the proxy waits for nothing that takes turns.
            Here().look(self._audit, self._writer)
        finally:
            self._writer.conclude(self._audit, self._clock.now_ns())


addons = [Guest()]
