"""Drives the inspector in a test: waits for what it does instead of sleeping, and reads the screen as text."""

from __future__ import annotations

from typing import cast

from textual.pilot import Pilot

from traceaudit_tui.app import Inspector


def app_of(pilot: Pilot[None]) -> Inspector:
    return cast("Inspector", pilot.app)


async def settle(pilot: Pilot[None]) -> None:
    """Until nothing is being read: a reading may start another, by a screen that it brings up to date."""
    pilot.app.animation_level = "none"
    await pilot.pause()
    while any(not worker.is_finished for worker in pilot.app.workers):
        await pilot.app.workers.wait_for_complete()
        await pilot.pause()


async def press(pilot: Pilot[None], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        await settle(pilot)


async def look_again(pilot: Pilot[None]) -> None:
    """What the timer does twice a second."""
    app_of(pilot).poll(at_once=True)
    await settle(pilot)


def lines(pilot: Pilot[None]) -> list[str]:
    """The screen as the terminal gets it, without its colours."""
    # There is no public way to the composed lines; the SVG export is made from the same.
    strips = pilot.app.screen._compositor.render_strips()
    return [strip.text.rstrip() for strip in strips]


def toasts(pilot: Pilot[None]) -> list[str]:
    """What has been announced; a test's app draws no toasts unless asked to."""
    return [f"{toast.title}: {toast.message}" if toast.title else toast.message for toast in pilot.app._notifications]


def text(pilot: Pilot[None]) -> str:
    return "\n".join(lines(pilot))
