"""Launcher for a mitmproxy of one's own: ``mitmdump -s addons/traceaudit_addon.py --mode … --mode …``."""

from traceaudit_addons.guest import addons  # noqa: F401  (mitmproxy looks for this name)
